"""What the TLC has published: the newest month, and the months that lead up to it."""

from collections.abc import Iterator
from datetime import date
from itertools import islice

from nyc_taxi.colors import SERVICES, Color
from nyc_taxi.errors import NotPublished
from nyc_taxi.months import TripMonth
from nyc_taxi.web import is_published

TRIES = 24
"""Months to ask for, from this one back, before a source counts as having none."""


def months_back(color: Color, year: int, month: int) -> Iterator[TripMonth]:
    """The months of a colour from one back to the TLC's first, newest first."""
    while (year, month) >= SERVICES[color].first:
        yield TripMonth(color, year, month)
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def newest_month(color: Color, source: str, timeout: float) -> TripMonth:
    """The newest month that the source has. Raises NotPublished when it has none of late."""
    today = date.today()
    for trips in islice(months_back(color, today.year, today.month), TRIES):
        if is_published(trips, source, timeout):
            return trips
    raise NotPublished(
        f"the source has no {color} month of the last {TRIES}; check NYC_TAXI_SOURCE_URL"
    )
