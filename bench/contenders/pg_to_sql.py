"""The course: pandas `to_sql`, 100,000 rows at a time; only the first ROWS."""

import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet  # noqa: F401 - otherwise pandas imports it during the measurement
from sqlalchemy import create_engine

from nyc_taxi.warehouses.postgres.addresses import components

ROWS = 200_000
CHUNK = 100_000


def run(clean: Path) -> None:
    engine = create_engine(components(os.environ["POSTGRES_URL"]).create_url())
    df = pd.read_parquet(clean)
    df.head(0).to_sql("bench_to_sql", engine, if_exists="replace")
    for start in range(0, ROWS, CHUNK):
        df.iloc[start : start + CHUNK].to_sql("bench_to_sql", engine, if_exists="append")
