"""Months that a source has published, newest first."""

from collections.abc import Iterator
from datetime import date
from itertools import islice

from nyc_taxi.errors import NotPublishedError
from nyc_taxi.sources.tlc import published_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Color

MAX_REQUESTS = 24
"""Months to request, from the current one back."""


def months_back(color: Color, year: int, month: int) -> Iterator[TripMonth]:
    """Yield the months of a color from the given one back to the TLC's first."""
    while (year, month) >= SERVICES[color].first:
        yield TripMonth(color, year, month)
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def newest_month(color: Color, source: str, timeout: float) -> TripMonth:
    """Return the newest published month. Raises NotPublishedError if none of the last 24 exists."""
    today = date.today()
    for trips in islice(months_back(color, today.year, today.month), MAX_REQUESTS):
        if published_version(trips, source, timeout) is not None:
            return trips
    raise NotPublishedError(
        f"the source has no {color} month of the last {MAX_REQUESTS}; check NYC_TAXI_SOURCE_URL"
    )
