"""Raw files with two rows, what conform makes of them, and SQL on files."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.column_rules import EMPTY_RULES, Rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import NycTaxiError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import Color

GREEN = TripMonth("green", 2021, 1)


def sql(query: str) -> Any:
    with duckdb.connect() as db:
        row = db.execute(query).fetchone()
    return row[0] if row and len(row) == 1 else row


def write_raw(folder: Path, columns: dict[str, Any], color: Color = "green") -> Path:
    """Write a raw green file with two rows; replace or add columns, and omit those set to None."""
    times = pa.array([0, 1_000_000], pa.timestamp("us"))
    table: dict[str, Any] = {
        "VendorID": [1, 2],
        "lpep_pickup_datetime": times,
        "lpep_dropoff_datetime": times,
        "PULocationID": [74, 75],
        "DOLocationID": [74, 264],
        "passenger_count": [1, 2],
        "trip_distance": [1.5, 2.5],
        "fare_amount": [10.0, 20.0],
        "tip_amount": [0.0, 1.0],
        "tolls_amount": [0.0, 0.0],
        "total_amount": [10.0, 21.0],
        "payment_type": [1, 2],
    }
    table.update(columns)
    path = folder / "green_tripdata_2021-01.parquet"
    pq.write_table(pa.table({k: v for k, v in table.items() if v is not None}), path)
    return path


def conformed(
    tmp_path: Path, columns: dict[str, Any], rules: Rules = EMPTY_RULES
) -> dict[str, list[Any]]:
    """Conform a file with two rows; return its columns."""
    plan = conform(GREEN, write_raw(tmp_path, columns), rules)
    plan.write(tmp_path / "clean.parquet")
    with pq.ParquetFile(tmp_path / "clean.parquet") as file:
        values: dict[str, list[Any]] = file.read().to_pydict()
    return values


def rejection(tmp_path: Path, columns: dict[str, Any], rules: Rules = EMPTY_RULES) -> str:
    """Return the message that rejects a file with two rows, of one line."""
    with pytest.raises(NycTaxiError) as problem:
        conformed(tmp_path, columns, rules)
    assert "\n" not in str(problem.value)
    return str(problem.value)
