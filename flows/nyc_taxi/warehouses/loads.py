"""The table `loads`: which load the rows of a month come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from uuid import uuid4

from nyc_taxi.trips.table_comments import Comments

LOADS = "loads"


@dataclass(frozen=True)
class Load:
    """The last load that changed a month of a table: one row of `loads`."""

    table_name: str
    trip_month: date
    """First day of the month; of an hourly table, of the month in UTC."""
    row_count: int
    source_version: str | None
    load_id: str
    loaded_at: datetime
    """UTC, without a zone."""


Loads = Mapping[tuple[str, date], Load]
"""The last load of each table and month."""
COLUMNS = tuple(field.name for field in fields(Load))
"""Columns of `loads`, in its order."""
LOADS_COMMENTS = Comments(
    "The last load of each month of each table, written in the transaction of the load.",
    {
        "table_name": "Table that was loaded.",
        "trip_month": "First day of the month; of an hourly table, of the month in UTC.",
        "row_count": "Rows of the month in the table.",
        "source_version": "ETag or other version of the source's file; null if unknown.",
        "load_id": "Identifier of the load; new for every load.",
        "loaded_at": "Time of the load (UTC).",
    },
)


@dataclass(frozen=True)
class NewLoad:
    """The values that are the same in every row of `loads` of one load."""

    source_version: str | None
    load_id: str = field(default_factory=lambda: uuid4().hex)
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))

    def row(self, table: str, month: date, rows: int) -> Load:
        return Load(table, month, rows, self.source_version, self.load_id, self.loaded_at)
