"""Where the months can be asked: tables `dezoomcamp.<color>_rides` and the view `dezoomcamp.rides`.

An address is `<module>:<place>`, such as `duckdb:data/warehouse.duckdb` (see nyc_taxi.lakes).
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from nyc_taxi.colors import RIDES, rides_columns
from nyc_taxi.months import TripMonth
from nyc_taxi.places import open_place

DATASET = "dezoomcamp"


class Warehouse(Protocol):
    """One table per colour, loaded a month at a time.

    A month is replaced whole, in one transaction: running a flow again, or retrying half of one,
    leaves the table as one clean run would have.
    """

    def replace_month(self, trips: TripMonth, parquet: Path, fill: Mapping[str, int]) -> int:
        """Load a conformed file as the month, nulls of the columns in `fill` replaced.

        Columns that the table has not are added to it. Returns the number of rows loaded.
        """

    def count(self, trips: TripMonth) -> int:
        """The rows of the month, 0 where there is no table yet."""


def rides_query(tables: Collection[str]) -> str:
    """Yellow and green together, as far as there are tables of them; names need no quotes."""
    parts = [
        f"SELECT '{color}' AS color, trip_month, "
        + ", ".join(f"{own} AS {name}" for own, name in rides_columns(color))
        + f" FROM {DATASET}.{color}_rides"
        for color in RIDES
        if f"{color}_rides" in tables
    ]
    return " UNION ALL ".join(parts)


def open_warehouse(address: str) -> Warehouse:
    warehouse: Warehouse = open_place(__name__, address, setting="NYC_TAXI_WAREHOUSE")
    return warehouse
