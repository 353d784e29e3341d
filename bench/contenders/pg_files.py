"""Not a contender: prepares the files that psql's `\\copy` loads."""

from pathlib import Path

import duckdb

from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.binary_copy import encode


def run(raw: Path, folder: Path) -> None:
    clean = folder / "clean.parquet"
    conform(TripMonth("yellow", 2021, 1), raw).write(clean)
    with duckdb.connect() as db:
        db.execute("SET preserve_insertion_order = false; SET threads = 1")
        db.execute(f"COPY (FROM '{clean}') TO '{folder / 'ready.csv'}' (FORMAT csv, HEADER false)")
        with (folder / "ready.bin").open("wb") as file:
            for chunk in encode(db.sql(f"FROM '{clean}'").to_arrow_reader(16_384)):
                file.write(chunk)
