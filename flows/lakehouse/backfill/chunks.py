"""The chunks of a range of dates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from nyc_taxi.trips.date_ranges import next_month

ChunkMode = Literal["monthly", "weekly", "daily"]


@dataclass(frozen=True)
class Chunk:
    start: date
    end: date
    """Last day."""

    def __str__(self) -> str:
        return f"{self.start}" if self.start == self.end else f"{self.start} to {self.end}"

    @property
    def months(self) -> list[str]:
        """The months that have a day of the chunk, such as 2024-01."""
        days = {self.start + timedelta(days=n) for n in range((self.end - self.start).days + 1)}
        return sorted({f"{day:%Y-%m}" for day in days})


def chunks(start: date, end: date, mode: ChunkMode) -> Iterator[Chunk]:
    """Split the days from `start` to `end` into calendar months, runs of 7 days, or days."""
    while start <= end:
        last = min(end, _last_day(start, mode))
        yield Chunk(start, last)
        start = last + timedelta(days=1)


def _last_day(start: date, mode: ChunkMode) -> date:
    if mode == "monthly":
        return next_month(start) - timedelta(days=1)
    return start + timedelta(days=6 if mode == "weekly" else 0)
