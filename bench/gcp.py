"""Time to load a month from GCS into BigQuery, both emulated, per method."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.measured import Measure, measure
from bench.processes import environment, make_month
from local_services import bigquery, client_environment, gcs, running

ROWS = 1_369_769
"""Rows of yellow 2021-01."""
ROUNDS = 3
CONTENDERS = {
    "`gs://` URL: BigQuery reads GCS (default)": "into_bigquery",
    "local file, uploaded": "into_bigquery",
    "`--method dataframe`, the course's `to_gbq`": "dataframe_into_bigquery",
}


def gcp(rows: int = ROWS) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        parquet = folder / "clean.parquet"
        here = environment(folder)
        measure("this_project", make_month(folder, "yellow", rows), parquet, env=here)
        with running(gcs(folder)) as storage, running(bigquery(folder)) as warehouse:
            env = here | client_environment(storage, warehouse)
            url = "gs://nyc-taxi/clean.parquet"
            measure("into_gcs", parquet, env=env)
            envs = (env | {"BENCH_URL": url}, env, env)
            measure("into_bigquery", parquet, env=env)  # creates the dataset and the table
            turns = [
                [
                    measure(contender, parquet, env=own)
                    for contender, own in zip(CONTENDERS.values(), envs, strict=True)
                ]
                for _ in range(ROUNDS)
            ]
    print(f"from GCS to BigQuery: {turns}", file=sys.stderr)
    best = [
        min(contender, key=lambda taken: taken.seconds) for contender in zip(*turns, strict=True)
    ]
    title = f"A yellow month of {rows:,} rows into the BigQuery emulator, replacing itself"
    header = ("source", "seconds", "rows/s", "peak MB of our process")
    lines = [_line(what, taken, rows) for what, taken in zip(CONTENDERS, best, strict=True)]
    return f"{title}\n\n{table(header, lines)}"


def _line(what: str, taken: Measure, rows: int) -> tuple[str, ...]:
    return what, f"{taken.seconds:.1f}", f"{rows / taken.seconds:,.0f}", f"{taken.peak:,.0f}"


def main() -> None:
    print(gcp())


if __name__ == "__main__":
    main()
