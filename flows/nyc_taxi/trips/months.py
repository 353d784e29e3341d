"""One month of one color: the unit that is fetched, stored and replaced."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.trips.schemas import SERVICES, Color, Service


@dataclass(frozen=True, order=True)
class TripMonth:
    """The trips that the TLC published in one file: one color, one month.

    The month is the file's. A file contains a few trips from other months, even other years.
    They stay with their file, so that a month can be replaced as a whole.
    """

    color: Color
    year: int
    month: int

    def __post_init__(self) -> None:
        if self.color not in SERVICES:
            raise InvalidInputError(
                f"{str(self.color)[:40]!r} is not a color; choose one of {', '.join(SERVICES)}"
            )
        if not 1 <= self.month <= 12:
            raise InvalidInputError(f"{self.month} is not a month; choose from 1 to 12")
        first_year, first_month = self.service.first
        if (self.year, self.month) < (first_year, first_month):
            raise InvalidInputError(
                f"there are no {self.color} trips for {self.year}-{self.month:02}; "
                f"the TLC's first month is {first_year}-{first_month:02}"
            )
        today = date.today()
        if (self.year, self.month) > (today.year, today.month):
            raise InvalidInputError(
                f"{self.year}-{self.month:02} is in the future; "
                "the TLC publishes a month about two months after its end"
            )

    def __str__(self) -> str:
        return f"{self.color} {self.year}-{self.month:02}"

    @property
    def service(self) -> Service:
        return SERVICES[self.color]

    @property
    def stem(self) -> str:
        return f"{self.color}_tripdata_{self.year}-{self.month:02}"

    @property
    def key(self) -> str:
        """Path of the month's file in a lake, with forward slashes on every platform."""
        return f"data/{self.color}/{self.stem}.parquet"

    @property
    def first_day(self) -> date:
        """First day of the month: its `trip_month` in a warehouse."""
        return date(self.year, self.month, 1)

    @property
    def next_first_day(self) -> date:
        return date(self.year + self.month // 12, self.month % 12 + 1, 1)


def trip_months(color: Color, year: int, months: list[int]) -> list[TripMonth]:
    """Return the months of a run. Raises InvalidInputError if any of them is invalid."""
    if not months:
        raise InvalidInputError(
            "the list of months is empty; give at least one month, such as 1,2 or 5-7"
        )
    repeated = [str(month) for month, count in Counter(months).items() if count > 1]
    if repeated:
        raise InvalidInputError(
            f"the list of months repeats {', '.join(repeated)[:40]}; list each month once"
        )
    return [TripMonth(color, year, month) for month in months]


def parse_months(text: str) -> list[int]:
    """Parse `1,2,5-7`, or `[1,2]` as passed to `prefect deployment run`, into a list of months."""
    months: list[int] = []
    for item in filter(None, re.split(r"[,\s]+", text.strip("[] "))):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", item)
        if not match:
            raise InvalidInputError(
                f"cannot read the months {text[:80]!r}; write them as 1,2 or 5-7"
            )
        first, last = _parse_month(match[1]), _parse_month(match[2] or match[1])
        if last < first:
            raise InvalidInputError(f"the range {item!r} is reversed; write {last}-{first}")
        months += range(first, last + 1)
    return months


def parse_trip_months(text: str) -> list[str]:
    """Parse `2021-01,2021-02`, or the same in brackets and quotes, into a list of months."""
    months = re.split(r"[,\s]+", text.strip("[] ").replace('"', ""))
    for month in months:
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
            raise InvalidInputError(
                f"{month[:20]!r} is not a month; write YYYY-MM, such as 2021-01,2021-02"
            )
    return months


def _parse_month(digits: str) -> int:
    if not re.fullmatch(r"0*([1-9]|1[0-2])", digits):
        raise InvalidInputError(f"{digits[:20]} is not a month; choose from 1 to 12")
    return int(digits[-2:])


def parse_integer(text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        raise InvalidInputError(f"{text[:80]!r} is not an integer; write a number such as 2021")
    return int(text)
