"""Time and memory of silver and gold on DuckDB, with the same SQL without dbt, and pandas."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.measured import Measure, measure
from bench.processes import environment, python, seconds, serving
from local_services.process import free_port

ROWS = [10_000_000, 40_000_000]
MONTHS = 12
ALL = "all months, published"
BARE = "the same SQL and tests without dbt, unpublished"
LOAD = """
import sys
from pathlib import Path
from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from synthetic_tlc import write_month
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
for month in map(int, sys.argv[3:]):
    trips = TripMonth("yellow", 2021, month)
    raw, clean = write_month(folder, "yellow", 2021, month, rows), folder / "clean.parquet"
    conform(trips, raw).write(clean)
    raw.unlink()
    warehouse.replace_month(trips, clean, {})
"""


def lakehouse(rows: list[int]) -> str:
    return "\n\n".join(_tables(count) for count in rows)


def _tables(rows: int) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        env = environment(folder)
        python("-c", LOAD, folder, str(rows // MONTHS), *map(str, range(1, MONTHS + 1)), env=env)
        bronze = folder / "warehouse.duckdb"
        runs: dict[str, Measure] = {}
        built = _copy(bronze, "built")
        runs["start of dbt, once in a process"] = measure("lakehouse_start", built, env=env)
        runs[ALL] = measure("lakehouse_build", built, env=env)
        statements = _collect_statements(folder / "dbt" / "duckdb", folder / "statements")
        runs[BARE] = measure("lakehouse_bare", _copy(bronze, "bare"), statements, env=env)
        nothing = _time_nothing_stale(folder, built)
        again = "one month of 12 that was loaded again"
        runs[again] = measure("lakehouse_month", _copy(built, "changed"), env=env)
        single = _copy(bronze, "single")
        runs["month by month"] = measure("lakehouse_build", single, Path("months"), env=env)
        runs["four of the fact tables with pandas"] = measure("lakehouse_pandas", bronze, env=env)
    lines = [
        (what, f"{run.seconds:.1f}", f"{run.seconds / runs[BARE].seconds:.2f}", f"{run.cpu:.1f}")
        + (f"{run.peak:,.0f}",)
        for what, run in runs.items()
    ]
    title = f"Silver and gold of {rows:,} yellow trips in {MONTHS} months on DuckDB"
    headings = ("run", "seconds", "to bare", "CPU s", "peak MB")
    return f"{title}\n\n{table(headings, lines)}\n\n{nothing}"


def _time_nothing_stale(folder: Path, warehouse: Path) -> str:
    """Time the flows, from start to end, next to a running Prefect server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    server = environment(folder, PREFECT_HOME=str(folder / "server"))
    env = server | {"PREFECT_API_URL": url, "NYC_TAXI_WAREHOUSE": f"duckdb:{warehouse}"}
    with serving("-m", "prefect", "server", "start", "--port", str(port), port=port, env=server):
        seconds("-m", "lakehouse.silver.flow", env=env)
        times = [seconds("-m", f"lakehouse.{name}.flow", env=env) for name in ("silver", "gold")]
    silver, gold = (f"{time:.1f} s" for time in times)
    return f"Nothing stale, next to a running Prefect server: silver {silver}, gold {gold}."


def _copy(warehouse: Path, name: str) -> Path:
    """Copy a warehouse; its file keeps its name, which is the database's name in dbt's SQL."""
    target = warehouse.parent / name / warehouse.name
    target.parent.mkdir()
    shutil.copy(warehouse, target)
    return target


def _collect_statements(scratch: Path, folder: Path) -> Path:
    """Copy what dbt ran, numbered by the time it ran."""
    folder.mkdir()
    paths = sorted((scratch / "run").rglob("*.sql"), key=lambda path: path.stat().st_mtime_ns)
    for number, path in enumerate(paths):
        (folder / f"{number:04}.sql").write_text(path.read_text().replace("__dbt_tmp", ""))
    print(f"{len(paths)} statements", file=sys.stderr)
    return folder
