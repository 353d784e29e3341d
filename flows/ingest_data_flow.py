"""TLC site -> PostgreSQL: ingest months of trips into one table. Reruns replace a month."""

from functools import partial
from pathlib import Path

from nyc_taxi.cli import command

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from etl_web_to_local import clean, fetch, write_local
from nyc_taxi.conform.passenger_counts import (
    ALL_TRIPS,
    count_zero_passengers,
    nonzero_passengers_sql,
)
from nyc_taxi.orchestration.before_and_after import log_before_and_after
from nyc_taxi.orchestration.params import Months, Year
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.orchestration.run_months import run_months
from nyc_taxi.trips.months import TripMonth, trip_months
from nyc_taxi.trips.schemas import Color
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.tables import Table
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse


@flow(name="Subflow")
def log_subflow(table_name: str) -> None:
    """Log the table that is loaded."""
    get_run_logger().info("Logging Subflow for: %s", table_name)


@task(cache_policy=NO_CACHE)
def extract_data(trips: TripMonth) -> Path:
    """Fetch and clean the month; returns a local Parquet file."""
    return write_local(clean(trips, fetch(trips))).path


@task(cache_policy=NO_CACHE)
def transform_data(trips: TripMonth, parquet: Path, keep_zero: bool) -> str:
    """Return an SQL predicate that skips trips with 0 passengers, unless `keep_zero`."""
    where = ALL_TRIPS if keep_zero else nonzero_passengers_sql(trips)
    pre, post = (count_zero_passengers(trips, parquet, rows) for rows in (ALL_TRIPS, where))
    log_before_and_after("trips with 0 passengers", pre, post)
    return where


@task(cache_policy=NO_CACHE, **RETRIES)
def load_data(trips: TripMonth, parquet: Path, where: str, table_name: str) -> int:
    """Replace the month in the table."""
    warehouse = PostgresWarehouse(find_database(), Table.named(table_name))
    rows = warehouse.replace_month(trips, parquet, {}, where)
    get_run_logger().info("%s loaded into %s: %s rows", trips, table_name, f"{rows:,}")
    return rows


def ingest_month(trips: TripMonth, table_name: str, keep_zero: bool) -> int:
    parquet = extract_data(trips)
    where = transform_data(trips, parquet, keep_zero)
    return load_data(trips, parquet, where, table_name)


@flow(name="Ingest Data", flow_run_name="{table_name} {color} {year} {months}")
def ingest_data(
    table_name: str = "yellow_taxi_trips",
    months: Months = [1],
    year: Year = 2021,
    color: Color = "yellow",
    keep_zero: bool = False,
) -> int:
    """Ingest months of trips from the TLC's site into a PostgreSQL table.

    Args:
        table_name: Target table, with or without a schema; holds trips of one color.
        keep_zero: Also load trips with a passenger count of 0.
    """
    PostgresWarehouse(find_database(), Table.named(table_name)).check()
    log_subflow(table_name)
    rows = run_months(
        partial(ingest_month, table_name=table_name, keep_zero=keep_zero),
        trip_months(color, year, months),
    )
    print(f"total rows: {sum(rows)}")
    return sum(rows)


if __name__ == "__main__":
    command(ingest_data)
