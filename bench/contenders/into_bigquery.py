"""Replace a month in BigQuery, from a file or from a `gs://` URL."""

from __future__ import annotations

import os
from pathlib import Path

from prefect import flow, get_run_logger, task  # noqa: F401 - a flow script imports them too
from prefect_gcp import GcpCredentials

from nyc_taxi.conform.passenger_counts import passenger_fill
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.bigquery.warehouse import BigQueryWarehouse

TRIPS = TripMonth("yellow", 2021, 1)


def run(parquet: Path) -> None:
    """BENCH_URL replaces the path: a URL would lose a slash as a Path."""
    load(BigQueryWarehouse(GcpCredentials()), os.environ.get("BENCH_URL") or parquet)


def load(warehouse: BigQueryWarehouse, parquet: Path | str) -> None:
    warehouse.replace_month(TRIPS, parquet, passenger_fill(TRIPS))
