"""The course: one DataFrame per month, written with gzip."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet  # noqa: F401 - otherwise pandas imports it during the measurement


def run(raw: Path, target: Path) -> None:
    df = pd.read_parquet(raw)
    df["tpep_pickup_datetime"] = pd.to_datetime(df["tpep_pickup_datetime"])
    df["tpep_dropoff_datetime"] = pd.to_datetime(df["tpep_dropoff_datetime"])
    df.to_parquet(target, compression="gzip")
