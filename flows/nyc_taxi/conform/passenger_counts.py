"""The course's transform: missing passenger counts become 0.

In the TLC's files 0 and a missing count are different values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from nyc_taxi.storage.duckdb_engine import open_duckdb, parquet_sql, quoted
from nyc_taxi.trips.months import TripMonth

PASSENGERS = "passenger_count"
ALL_TRIPS = "true"


def passenger_fill(trips: TripMonth) -> dict[str, int]:
    """Return the columns whose nulls are replaced, with the value; empty for for-hire vehicles."""
    return {PASSENGERS: 0} if trips.service.column(PASSENGERS) else {}


def fill_nulls_sql(fill: Mapping[str, int]) -> str:
    """Return a SELECT list of all columns, with the nulls of those in `fill` replaced (DuckDB)."""
    values = (
        f"coalesce({quoted(name)}, {value}) AS {quoted(name)}" for name, value in fill.items()
    )
    return f"* REPLACE ({', '.join(values)})" if fill else "*"


def count_missing_passengers(parquet: BinaryIO) -> int:
    """Count the trips whose passenger count is null."""
    return count_nulls(parquet, PASSENGERS).get(PASSENGERS, 0)


def count_nulls(parquet: BinaryIO, *names: str) -> dict[str, int]:
    """Count the nulls of each of these columns; of all columns without names.

    Uses the statistics of the footer where it has them, so that no rows are read from a cloud.
    """
    with pq.ParquetFile(parquet) as file:
        footer, counts = file.metadata, {}
        for n in range(footer.num_columns):
            name = footer.schema.column(n).path
            if names and name not in names:
                continue
            groups = [footer.row_group(i).column(n) for i in range(footer.num_row_groups)]
            statistics = [group.statistics for group in groups]
            if all(known and known.has_null_count for known in statistics):
                counts[name] = sum(known.null_count for known in statistics)
            else:
                batches = file.iter_batches(columns=[name])
                counts[name] = sum(batch.column(0).null_count for batch in batches)
    return counts


def nonzero_passengers_sql(trips: TripMonth) -> str:
    """Return a condition that excludes trips with 0 passengers; missing counts are kept."""
    return f"{PASSENGERS} IS DISTINCT FROM 0" if trips.service.column(PASSENGERS) else ALL_TRIPS


def count_zero_passengers(trips: TripMonth, parquet: Path, condition: str) -> int:
    """Count the trips with 0 passengers among those that meet the condition."""
    if not trips.service.column(PASSENGERS):
        return 0
    rows = f"FROM {parquet_sql(parquet)} WHERE {condition} AND {PASSENGERS} = 0"
    with open_duckdb() as db:
        row = db.execute(f"SELECT count(*) {rows}").fetchone()
    return int(row[0]) if row else 0
