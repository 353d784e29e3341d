"""A range of hours, and the hourly file that replaces it in a table such as `weather_hourly`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.trips.date_ranges import next_month

KEY = ("location", "time_utc")
"""Columns of every hourly table: one row per location and hour."""
LOAD_ID = "load_id"
"""Column of every hourly table: the load that wrote the row. Set by the warehouse."""


@dataclass(frozen=True)
class Hours:
    """The hours from `first` up to `last`, which is not included. UTC, without a zone."""

    first: datetime
    last: datetime

    def __post_init__(self) -> None:
        for end in (self.first, self.last):
            if end.tzinfo or (end.minute, end.second, end.microsecond) != (0, 0, 0):
                raise InvalidInputError(
                    f"{end} is not an hour; write whole hours of UTC without a zone, such as "
                    "2024-05-01 13:00"
                )
        if self.first >= self.last:
            raise InvalidInputError(f"the range {self} is empty; its end is after its start")

    def __str__(self) -> str:
        return f"{self.first:%Y-%m-%d %H:%M} to {self.last:%Y-%m-%d %H:%M} UTC"

    def months(self) -> Iterator[Hours]:
        """Yield every month of which the range has an hour, as a whole."""
        first = self.first.replace(day=1, hour=0)
        while first < self.last:
            yield Hours(first, next_month(first))
            first = next_month(first)

    @property
    def first_day(self) -> date:
        """For a whole month: its `trip_month` in the table `loads`."""
        return self.first.date()


def hourly_table_name(name: str) -> str:
    """Return the name if it may be that of an hourly table. Raises InvalidInputError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,33}_hourly", name):
        raise InvalidInputError(
            f"{name!r} is not a valid name for an hourly table; use up to 40 lower-case letters, "
            "digits and _, and end it in _hourly, such as weather_hourly"
        )
    return name


def check_hours(parquet: Path | str, hours: Hours, file: BinaryIO | None = None) -> None:
    """Check that the file has one row per location and hour, all of them in the range.

    `file`: the opened file, if `parquet` is a URL. Raises StorageError.
    """
    try:
        with pq.ParquetFile(file or parquet) as opened:
            schema = opened.schema_arrow
            keys = opened.read(columns=[*KEY]) if {*KEY} <= {*schema.names} else None
    except pa.ArrowInvalid as error:
        raise StorageError(
            f"{parquet} is not a Parquet file: {str(error).splitlines()[0]}"
        ) from error
    problem = "lacks location or time_utc" if keys is None else _problem(keys, hours)
    if problem:
        raise StorageError(
            f"{parquet} {problem}; an hourly file has one row per location and hour, with "
            "time_utc as TIMESTAMP without a zone. Nothing was changed"
        )


def _problem(keys: pa.Table, hours: Hours) -> str | None:
    times = keys["time_utc"]
    if not pa.types.is_timestamp(times.type) or times.type.tz:
        return f"has time_utc as {times.type}"
    if keys["location"].null_count or times.null_count:
        return "has rows without location or time_utc"
    if not keys.num_rows:
        return None
    found = pc.min_max(times).as_py()
    if found["min"] < hours.first or found["max"] >= hours.last:
        return f"has hours from {found['min']} to {found['max']}, outside of {hours}"
    if pc.any(pc.not_equal(times, pc.floor_temporal(times, unit="hour"))).as_py():
        return "has a time_utc that is not the start of an hour"
    if keys.group_by([*KEY]).aggregate([]).num_rows < keys.num_rows:
        return "has an hour twice for one location"
    return None
