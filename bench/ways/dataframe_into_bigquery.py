"""The same by way of pandas, as in the course: `--method dataframe`."""

from __future__ import annotations

from pathlib import Path

from prefect_gcp import GcpCredentials

from bench.ways.into_bigquery import load
from nyc_taxi.dataframes import DataFrameWarehouse


def run(parquet: Path) -> None:
    load(DataFrameWarehouse(GcpCredentials()), parquet)
