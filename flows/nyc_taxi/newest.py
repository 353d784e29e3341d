"""What the TLC has published: the newest month, those before it, and which of them are loaded."""

from collections.abc import Iterator
from datetime import date
from itertools import islice

from prefect.variables import Variable

from nyc_taxi.colors import SERVICES, Color
from nyc_taxi.errors import NotPublished
from nyc_taxi.months import TripMonth
from nyc_taxi.web import published_version

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
        if published_version(trips, source, timeout) is not None:
            return trips
    raise NotPublished(
        f"the source has no {color} month of the last {TRIES}; check NYC_TAXI_SOURCE_URL"
    )


def is_loaded(trips: TripMonth, version: str | None, warehouse: str) -> bool:
    """Whether this version of the month's file is what was last loaded, into this warehouse."""
    return bool(Variable.get(_variable(trips)) == [warehouse, version])


def remember_loaded(trips: TripMonth, version: str | None, warehouse: str) -> None:
    """In a Prefect variable, so that it holds for every worker, wherever its files are."""
    Variable.set(_variable(trips), [warehouse, version], overwrite=True)


def _variable(trips: TripMonth) -> str:
    return f"loaded_{trips.stem}".replace("-", "_")
