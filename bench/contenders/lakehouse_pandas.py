"""Trips by hour and by zone and hour with pandas: a part of what silver and gold contain."""

from pathlib import Path

import duckdb
import pandas as pd


def run(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        trips = db.execute("FROM dezoomcamp.yellow_rides").df()
    pickup, dropoff = trips["tpep_pickup_datetime"], trips["tpep_dropoff_datetime"]
    seconds = (dropoff - pickup).dt.total_seconds()
    kept = trips[(seconds >= 0) & (seconds <= 172_800) & (trips["total_amount"].abs() <= 10_000)]
    kept = kept.assign(hour=kept["tpep_pickup_datetime"].dt.floor("h"), day=pickup.dt.date)
    kept["seconds"] = seconds
    measures = {"total_amount": "sum", "trip_distance": "sum", "seconds": "sum"}
    tables: list[pd.DataFrame] = []
    for key in (["hour"], ["hour", "PULocationID"], ["PULocationID", "DOLocationID"], ["day"]):
        tables.append(kept.groupby(["trip_month", *key]).agg(measures))
    assert all(len(table) for table in tables)
