"""The lake -> the warehouse (GCS -> BigQuery; a folder -> DuckDB without a cloud)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.colors import Color
from nyc_taxi.lakes import open_lake
from nyc_taxi.months import TripMonth, trip_months
from nyc_taxi.running import RETRIES, Months, Year, command, each_month
from nyc_taxi.settings import settings
from nyc_taxi.transform import missing, passengers_fill
from nyc_taxi.warehouses import open_warehouse


@task(cache_policy=NO_CACHE, **RETRIES)
def extract_from_gcs(trips: TripMonth) -> Path:
    """The month's file from the lake at NYC_TAXI_LAKE."""
    return open_lake(settings().lake).get(trips.key)


@task(cache_policy=NO_CACHE)
def transform(trips: TripMonth, parquet: Path, keep_missing: bool) -> Mapping[str, int]:
    """Say which missing values become which; the warehouse replaces them as it loads."""
    fill = {} if keep_missing else passengers_fill(trips)
    log = get_run_logger()
    log.info("pre: missing passenger count: %s", missing(trips, parquet, {}))
    log.info("post: missing passenger count: %s", missing(trips, parquet, fill))
    return fill


@task(cache_policy=NO_CACHE, **RETRIES)
def write_bq(trips: TripMonth, parquet: Path, fill: Mapping[str, int]) -> int:
    """Replace the month in the warehouse at NYC_TAXI_WAREHOUSE."""
    rows = open_warehouse(settings().warehouse).replace_month(trips, parquet, fill)
    get_run_logger().info("%s is in the warehouse: %s rows", trips, f"{rows:,}")
    return rows


def load_month(trips: TripMonth, keep_missing: bool) -> int:
    parquet = extract_from_gcs(trips)
    fill = transform(trips, parquet, keep_missing)
    return write_bq(trips, parquet, fill)


@flow(name="etl-gcs-to-bq", flow_run_name="{color} {year} {months}")
def etl_gcs_to_bq(
    months: Months = [1], year: Year = 2021, color: Color = "yellow", keep_missing: bool = False
) -> int:
    """Load months of trips from the lake into the warehouse.

    Args:
        keep_missing: Keep unknown passenger counts null instead of making them 0.
    """
    rows = each_month(
        partial(load_month, keep_missing=keep_missing), trip_months(color, year, months)
    )
    print(f"total rows: {sum(rows)}")
    return sum(rows)


if __name__ == "__main__":
    command(etl_gcs_to_bq)
