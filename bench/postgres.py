"""Time to load a clean month into PostgreSQL, compared with other loaders and psql's `\\copy`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.measured import Measure, measure
from bench.processes import environment, make_month, python, seconds
from local_services.postgres import BIN, PASSWORD, USER, PostgresServer
from local_services.process import free_port

ROWS = 1_370_000
TO_SQL_ROWS = 200_000
"""Rows that `bench.contenders.pg_to_sql` loads; all of them would take minutes."""
ROUNDS = 3
CONTENDERS = {
    "pg_this_project": "this project, with index, ANALYZE and swap",
    "pg_binary": "its COPY only",
    "pg_to_sql": f"the course: `to_sql`, {TO_SQL_ROWS:,} rows only",
    "pg_csv": "psycopg2 COPY of CSV written by Arrow",
    "pg_adbc": "ADBC ingest",
    "csv": "psql `\\copy` of a ready CSV file",
    "binary": "psql `\\copy` of a ready binary file",
}
INDEXES = {
    "none": "",
    "BRIN, multi-minmax": "USING brin (tpep_pickup_datetime timestamp_minmax_multi_ops)",
    "BRIN": "USING brin (tpep_pickup_datetime)",
    "btree": "(tpep_pickup_datetime)",
}
MONTH = "dezoomcamp.yellow_rides_2021_01"
HOUR = (
    f"SELECT count(*), sum(total_amount) FROM {MONTH} WHERE tpep_pickup_datetime "
    "BETWEEN '2021-01-20 08:00' AND '2021-01-20 09:00'"
)


def postgres(rows: int = ROWS) -> str:
    with TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root runs PostgreSQL as an unprivileged user
        server = PostgresServer(folder / "data", free_port())
        server.up()
        try:
            env = environment(folder, POSTGRES_URL=server.url)
            raw = make_month(folder / "site", "yellow", rows)
            measure("pg_files", raw, folder, env=env)
            parts = [_loads(rows, folder, server, env), _indexes(server), _year(folder, rows, env)]
            return "\n\n".join(parts)
        finally:
            server.down()


def _loads(rows: int, folder: Path, server: PostgresServer, env: dict[str, str]) -> str:
    measure("pg_this_project", folder / "clean.parquet", env=env)
    server.psql(f"CREATE TABLE bench_copy (LIKE {MONTH} INCLUDING DEFAULTS)", "ny_taxi")
    best: dict[str, Measure] = {}
    for _ in range(ROUNDS):
        for contender in CONTENDERS:
            server.psql("CHECKPOINT", "ny_taxi")  # flush earlier writes before the clock starts
            if contender in ("csv", "binary"):
                now = _psql(contender, folder, server)
            else:
                now = measure(contender, folder / "clean.parquet", env=env)
            print(f"{contender}: {now.seconds:.2f} s, {now.peak:.0f} MB", file=sys.stderr)
            before = best.get(contender, now)
            best[contender] = Measure(min(now.seconds, before.seconds), max(now.peak, before.peak))
    speed = {
        contender: (TO_SQL_ROWS if contender == "pg_to_sql" else rows) / taken.seconds
        for contender, taken in best.items()
    }
    lines = [
        (
            title,
            f"{best[contender].seconds:.2f}",
            f"{speed[contender]:,.0f}",
            f"{best[contender].peak:,.0f}" if best[contender].peak else "",
            f"{speed[contender] / speed['pg_to_sql']:.1f}",
            f"{speed[contender] / speed['csv']:.2f}",
        )
        for contender, title in CONTENDERS.items()
    ]
    header = ("contender", "seconds", "rows/s", "peak MB", "times `to_sql`", "times `\\copy` CSV")
    return f"A clean yellow month of {rows:,} rows into PostgreSQL\n\n{table(header, lines)}"


def _psql(format: str, folder: Path, server: PostgresServer) -> Measure:
    """Measure psql from start to exit; its startup is negligible."""
    columns = server.psql(
        "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 'bench_copy'::regclass AND attnum > 1", "ny_taxi",
    ).strip()  # fmt: skip
    server.psql("TRUNCATE bench_copy", "ny_taxi")
    ready = folder / ("ready.csv" if format == "csv" else "ready.bin")
    copy = f"\\copy bench_copy ({columns}) from '{ready}' (format {format})"
    os.sync()
    began = time.perf_counter()
    process = subprocess.Popen(
        [BIN / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(server.port),
         "-U", USER, "-d", "ny_taxi", "-c", copy],
        env={**os.environ, "PGPASSWORD": PASSWORD},
    )  # fmt: skip
    if process.wait():
        sys.exit("error: psql failed; see above")
    return Measure(time.perf_counter() - began, 0)  # its peak would include that of this process


def _indexes(server: PostgresServer) -> str:
    lines = []
    server.psql(f"ALTER TABLE dezoomcamp.yellow_rides DETACH PARTITION {MONTH}", "ny_taxi")
    server.psql("DROP INDEX dezoomcamp.yellow_rides_2021_01_pickup", "ny_taxi")
    for title, definition in INDEXES.items():
        built, size = 0.0, 0
        if definition:
            began = time.perf_counter()
            server.psql(f"CREATE INDEX bench_index ON {MONTH} {definition}", "ny_taxi")
            built = time.perf_counter() - began
            size = int(server.psql("SELECT pg_relation_size('dezoomcamp.bench_index')", "ny_taxi"))
        runs = [
            json.loads(server.psql(f"EXPLAIN (ANALYZE, FORMAT json) {HOUR}", "ny_taxi"))[0]
            for _ in range(5)
        ]
        fastest = min(run["Execution Time"] for run in runs)
        lines.append((title, f"{built:.2f}", f"{size / 1e6:,.2f}", f"{fastest:.1f}"))
        server.psql("DROP INDEX IF EXISTS dezoomcamp.bench_index", "ny_taxi")
    server.psql(f"DROP TABLE {MONTH}", "ny_taxi")
    header = ("index on the pickup time", "seconds to build", "MB", "ms for an hour's trips")
    return f"Cost and benefit of an index on the same month\n\n{table(header, lines)}"


def _year(folder: Path, rows: int, env: dict[str, str]) -> str:
    """Measure the flow from start to end, including copies from the local source folder."""
    months = [f"yellow:2021-{month:02}" for month in range(1, 13)]
    python("-m", "synthetic_tlc", "make", folder / "site", *months, "--rows", str(rows))
    env = env | {"NYC_TAXI_SOURCE_URL": str(folder / "site" / "trip-data")}
    flow = ("flows/ingest_data_flow.py", "--keep-zero", "--months")
    seconds(*flow, "1", env=env)  # creates Prefect's database
    one = min(seconds(*flow, "1", env=env) for _ in range(2))
    twelve = seconds(*flow, "1-12", env=env)
    print(f"one month {one:.1f} s, twelve {twelve:.1f} s", file=sys.stderr)
    lines = [
        ("one month", f"{rows:,}", f"{one:.1f}", "1.0"),
        ("twelve months", f"{12 * rows:,}", f"{twelve:.1f}", f"{twelve / one:.1f}"),
    ]
    title = f"`python {' '.join(flow)} ...`, from start to end"
    return f"{title}\n\n{table(('run', 'rows', 'seconds', 'times one month'), lines)}"


def main() -> None:
    print(postgres(), flush=True)


if __name__ == "__main__":
    main()
