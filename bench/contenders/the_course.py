"""The course: the month as one DataFrame, written with gzip."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet  # noqa: F401 - pandas would import it on the clock


def run(raw: Path, target: Path) -> None:
    df = pd.read_parquet(raw)
    df["tpep_pickup_datetime"] = pd.to_datetime(df["tpep_pickup_datetime"])
    df["tpep_dropoff_datetime"] = pd.to_datetime(df["tpep_dropoff_datetime"])
    df.to_parquet(target, compression="gzip")
