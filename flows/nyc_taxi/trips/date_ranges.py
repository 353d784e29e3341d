"""The first and last day of a run. Every month that has a day of the range is loaded as a whole."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TypeVar

from nyc_taxi.errors import InvalidInputError

FIRST_TRIPS = date(2009, 1, 1)
"""First day of the TLC's first published month."""
MONTHS_BACK = 5
"""Past months that a run without a start date loads: the TLC publishes a month about two months
after its end, and replaces some later."""


Day = TypeVar("Day", bound=date)


def next_month(day: Day) -> Day:
    """Return the first day of the following month; of a datetime, at the same time of day."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def parse_day(text: str) -> date:
    """Parse `2024-05-01`. Raises InvalidInputError."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidInputError(f"{text[:40]!r} is not a date; write YYYY-MM-DD, such as 2024-05-01")


def date_range(
    start: date | None, end: date | None, needs_start: bool = False
) -> tuple[date, date]:
    """Return the days with their defaults: MONTHS_BACK months ago, and today.

    Raises InvalidInputError for a range that is reversed, in the future, or before the first
    trips, and for a missing start if `needs_start`.
    """
    if needs_start and not start:
        raise InvalidInputError(
            "a backfill needs a first day; set --start-date, such as 2024-01-01"
        )
    today = date.today()
    months = today.year * 12 + today.month - 1 - MONTHS_BACK
    first = start or min(end or today, date(months // 12, months % 12 + 1, 1))
    last = end or today
    for name, day in (("--start-date", first), ("--end-date", last)):
        if day > today:
            raise InvalidInputError(f"{name} {day} is in the future; today is {today}")
        if day < FIRST_TRIPS:
            raise InvalidInputError(f"{name} {day} is before the TLC's first trips, {FIRST_TRIPS}")
    if last < first:
        raise InvalidInputError(
            f"--end-date {last} is before --start-date {first}; swap the two dates"
        )
    return first, last
