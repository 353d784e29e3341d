"""From the raw file to the warehouse in one process, as in a flow run."""

from pathlib import Path

from prefect import flow, get_run_logger, task  # noqa: F401 - a flow script imports them too

from nyc_taxi.conform.passenger_counts import passenger_fill
from nyc_taxi.conform.plan import conform
from nyc_taxi.lakes.local import LocalLake
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse


def run(raw: Path, folder: Path) -> None:
    trips = TripMonth("fhvhv", 2021, 1)
    lake = LocalLake(folder / "lake")
    report = conform(trips, raw).write(folder / trips.color / f"{trips.stem}.parquet")
    lake.put(report.path, trips.key)
    warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
    warehouse.replace_month(trips, lake.get(trips.key), passenger_fill(trips))
