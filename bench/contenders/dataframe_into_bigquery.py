"""Load the month through pandas, as in the course: `--method dataframe`."""

from __future__ import annotations

from pathlib import Path

from prefect_gcp import GcpCredentials

from bench.contenders.into_bigquery import load
from nyc_taxi.warehouses.bigquery.dataframe import BigQueryDataFrameWarehouse


def run(parquet: Path) -> None:
    load(BigQueryDataFrameWarehouse(GcpCredentials()), parquet)
