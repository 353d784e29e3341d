"""Lake -> warehouse: load months of trips (default: local folder -> DuckDB; or GCS -> BigQuery)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from nyc_taxi.cli import command

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

import etl_web_to_local
from nyc_taxi.conform.column_rules import read_rules
from nyc_taxi.conform.conformed_files import check_conformed
from nyc_taxi.conform.passenger_counts import count_missing_passengers, passenger_fill
from nyc_taxi.lakes.base import uri_or_local_copy
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.orchestration.before_and_after import log_before_and_after
from nyc_taxi.orchestration.params import Months, Year
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.orchestration.run_months import check_stores, run_months
from nyc_taxi.settings import settings
from nyc_taxi.trips.months import TripMonth, trip_months
from nyc_taxi.trips.schemas import Color
from nyc_taxi.warehouses.base import Method
from nyc_taxi.warehouses.registry import open_warehouse


@task(cache_policy=NO_CACHE, **RETRIES)
def extract_from_gcs(trips: TripMonth, method: Method) -> Path | str:
    """Return the month's URI in the lake if the warehouse can read it, else a local copy.

    The name is the course's; the task works with every lake.
    """
    lake = open_lake(settings().lake)
    with lake.open(trips.key) as file:
        check_conformed(file, trips, read_rules(etl_web_to_local.CONFIG))
    return uri_or_local_copy(lake, trips.key, open_warehouse(settings().warehouse, method).reads)


@task(cache_policy=NO_CACHE, **RETRIES)
def transform(trips: TripMonth, keep_missing: bool) -> Mapping[str, int]:
    """Choose a value for null passenger counts; the warehouse fills them during the load."""
    fill = {} if keep_missing else passenger_fill(trips)
    with open_lake(settings().lake).open(trips.key) as file:
        nulls = count_missing_passengers(file)
    log_before_and_after("missing passenger count", nulls, 0 if fill else nulls)
    return fill


@task(cache_policy=NO_CACHE, **RETRIES)
def write_bq(trips: TripMonth, parquet: Path | str, fill: Mapping[str, int], method: Method) -> int:
    """Replace the month in the warehouse at NYC_TAXI_WAREHOUSE.

    The name is the course's; the task works with every warehouse.
    """
    rows = open_warehouse(settings().warehouse, method).replace_month(trips, parquet, fill)
    get_run_logger().info("%s loaded into the warehouse: %s rows", trips, f"{rows:,}")
    return rows


def load_month(trips: TripMonth, keep_missing: bool, method: Method) -> int:
    parquet = extract_from_gcs(trips, method)
    fill = transform(trips, keep_missing)
    return write_bq(trips, parquet, fill, method)


@flow(name="etl-gcs-to-bq", flow_run_name="{color} {year} {months}")
def etl_gcs_to_bq(
    months: Months = [1],
    year: Year = 2021,
    color: Color = "yellow",
    keep_missing: bool = False,
    method: Method = "load",
) -> int:
    """Load months of trips from the lake into the warehouse.

    Args:
        keep_missing: Keep unknown passenger counts null instead of setting them to 0.
        method: Load the Parquet file directly, or through a pandas DataFrame (BigQuery only).
    """
    check_stores("lake", "warehouse", method=method)
    load = partial(load_month, keep_missing=keep_missing, method=method)
    rows = run_months(load, trip_months(color, year, months))
    print(f"total rows: {sum(rows)}")
    return sum(rows)


if __name__ == "__main__":
    command(etl_gcs_to_bq, "lake", "warehouse")
