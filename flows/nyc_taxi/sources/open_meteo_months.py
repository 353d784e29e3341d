"""Months of hours: what is stored and replaced, and what one request fetches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from nyc_taxi.sources.open_meteo_tables import SETTLED, HourlyTable


@dataclass(frozen=True)
class HourlyMonth:
    """One month (UTC) of an hourly table: the unit that is stored and replaced."""

    table: HourlyTable
    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.table.folder} {self.year}-{self.month:02}"

    @property
    def key(self) -> str:
        """Path of the month's file in a lake, such as data/weather/weather_2024-05.parquet."""
        name = self.table.folder
        return f"data/{name}/{name}_{self.year}-{self.month:02}.parquet"

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def next_first_day(self) -> date:
        return date(self.year + self.month // 12, self.month % 12 + 1, 1)

    @property
    def hours(self) -> tuple[datetime, datetime]:
        """First hours of the month and of the next one (UTC, without a zone)."""
        midnight = datetime.min.time()
        return (
            datetime.combine(self.first_day, midnight),
            datetime.combine(self.next_first_day, midnight),
        )

    def is_settled(self, loaded_at: datetime) -> bool:
        """Return whether all hours had their last values when they were loaded (UTC)."""
        return loaded_at >= self.hours[1] + SETTLED


@dataclass(frozen=True)
class HourlyRequest:
    """Consecutive months of one table and year: what one request fetches."""

    months: tuple[HourlyMonth, ...]

    def __str__(self) -> str:
        first, last = self.months[0], self.months[-1]
        return str(first) if first == last else f"{first} to {last.year}-{last.month:02}"

    @property
    def table(self) -> HourlyTable:
        return self.months[0].table

    @property
    def first_day(self) -> date:
        return self.months[0].first_day

    @property
    def last_day(self) -> date:
        """Last day of the months, or today (UTC)."""
        return min(self.months[-1].next_first_day - timedelta(days=1), datetime.now(UTC).date())


def group_months(months: Iterable[HourlyMonth]) -> list[HourlyRequest]:
    """Group months, in the order of their tables and dates, into as few requests as possible."""
    runs = groupby(
        enumerate(months), lambda one: (one[1].table.name, one[1].year, one[1].month - one[0])
    )
    return [HourlyRequest(tuple(month for _, month in run)) for _, run in runs]


def hourly_months(table: HourlyTable, start: date, end: date) -> Iterator[HourlyMonth]:
    """Yield the months that have a day from `start` to `end`, and values for New York."""
    day = max(start, table.first).replace(day=1)
    while day <= end:
        month = HourlyMonth(table, day.year, day.month)
        yield month
        day = month.next_first_day
