"""Tasks of the flow, and what a month or a request goes through; plan.py chooses the months."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from etl_web_to_bq import web_to_bq
from load_new_months import find_version, load_version
from nyc_taxi.conform.anomalies import MonthReport
from nyc_taxi.errors import NotPublishedError
from nyc_taxi.lakes.base import uri_or_local_copy
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.settings import settings
from nyc_taxi.sources.open_meteo_files import fetch_months
from nyc_taxi.sources.open_meteo_months import HourlyMonth, HourlyRequest
from nyc_taxi.storage.parquet_metadata import read_source_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.loads import Loads
from nyc_taxi.warehouses.registry import open_warehouse
from reference.lookups.flow import lookups
from reference.zones.flow import zones

from .plan import Mode


@dataclass(frozen=True)
class HourlyReport:
    """Result of one request to Open-Meteo."""

    request: HourlyRequest
    rows: int
    """Of the months that changed."""
    size: int
    seconds: float
    nulls: int

    def as_row(self) -> dict[str, int | float | str]:
        return {
            "month": str(self.request),
            "rows": self.rows,
            "bytes": self.size,
            "seconds": round(self.seconds, 2),
            "values that the model does not have": self.nulls,
        }


@task(cache_policy=NO_CACHE, **RETRIES)
def is_missing(table: str, column: str) -> bool:
    """Return whether the warehouse has no rows in a lookup table."""
    return not open_warehouse(settings().warehouse).read_rows(f"{DATASET}.{table}", [column])


@task(cache_policy=NO_CACHE, **RETRIES)
def fetch(request: HourlyRequest) -> list[Path]:
    """Fetch the hours in one request; write one Parquet file per month."""
    return fetch_months(request, settings())


@task(cache_policy=NO_CACHE, **RETRIES)
def write_lake(month: HourlyMonth, parquet: Path) -> str:
    """Write the month to the lake at NYC_TAXI_LAKE."""
    return open_lake(settings().lake).put(parquet, month.key)


@task(cache_policy=NO_CACHE, **RETRIES)
def write_warehouse(month: HourlyMonth) -> int:
    """Replace the hours in the warehouse at NYC_TAXI_WAREHOUSE with the file in the lake."""
    warehouse, table = open_warehouse(settings().warehouse), month.table
    parquet = uri_or_local_copy(open_lake(settings().lake), month.key, warehouse.reads)
    rows = warehouse.replace_hours(table.name, parquet, *month.hours, table.comments)
    get_run_logger().info("%s loaded into the warehouse: %s rows", month, f"{rows:,}")
    return rows


def load_references() -> None:
    """Run the flows of the lookup tables that the warehouse does not have."""
    if is_missing("vendors", "VendorID"):
        lookups()
    if is_missing("zones", "LocationID"):
        try:
            zones()
        except NotPublishedError as problem:
            get_run_logger().warning("no taxi zones: %s; the run continues", problem)


def load(
    month: TripMonth | HourlyRequest, mode: Mode, loads: Loads
) -> MonthReport | HourlyReport | None:
    if isinstance(month, HourlyRequest):
        return load_hours(month, loads)
    if mode == "backfill" and find_version(month) is not None:
        return web_to_bq(month, keep_missing=False, method="load")
    return load_version(month, loads, keep_missing=False, skip_unpublished=True)


def load_hours(request: HourlyRequest, loads: Loads) -> HourlyReport:
    started, rows, nulls, size = time.monotonic(), 0, 0, 0
    for month, parquet in zip(request.months, fetch(request), strict=True):
        nulls, size = nulls + _count_nulls(parquet), size + parquet.stat().st_size
        if is_unchanged(month, parquet, loads):
            get_run_logger().info("%s has not changed", month)
        else:
            write_lake(month, parquet)
            rows += write_warehouse(month)
    return HourlyReport(request, rows, size, time.monotonic() - started, nulls)


def is_unchanged(month: HourlyMonth, parquet: Path, loads: Loads) -> bool:
    """Return whether the warehouse has these values.

    A month is loaded once more when it is settled, so that no later run fetches it again.
    """
    load = loads.get((month.table.name, month.first_day))
    if load is None or load.source_version != read_source_version(parquet):
        return False
    settled = month.is_settled(datetime.now(UTC).replace(tzinfo=None))
    return month.is_settled(load.loaded_at) or not settled


def _count_nulls(parquet: Path) -> int:
    metadata = pq.read_metadata(parquet)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    return sum(
        group.column(index).statistics.null_count
        for group in groups
        for index in range(metadata.num_columns)
    )
