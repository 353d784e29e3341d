"""Months of a folder into bronze of the warehouse of the settings."""

from pathlib import Path

from nyc_taxi.settings import settings
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.registry import open_warehouse


def prepare(folder: Path) -> None:
    """Start the session of Spark before the clock, and its executors."""
    open_warehouse(settings().warehouse).check()
    wait_for_executors()


def run(folder: Path) -> None:
    warehouse = open_warehouse(settings().warehouse)
    for file in sorted(folder.glob("*.parquet")):
        year, month = file.stem[-7:].split("-")
        warehouse.replace_month(TripMonth("yellow", int(year), int(month)), file, {})


def wait_for_executors() -> None:
    from nyc_taxi.storage.spark import current_session

    if session := current_session():
        session.range(0, 1000, 1, 8).selectExpr("sum(id)").collect()
