"""A month of one colour: what is fetched, stored and replaced, always whole."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.trips.schemas import SERVICES, Color, Service


@dataclass(frozen=True, order=True)
class TripMonth:
    """The trips of one colour that the TLC published under one month.

    The month is the FILE's: a file holds a few trips of other months, even of other years, and
    counting them where they were published is what lets a month be replaced.
    """

    color: Color
    year: int
    month: int

    def __post_init__(self) -> None:
        if self.color not in SERVICES:
            raise InvalidInputError(
                f"there is no color {str(self.color)[:40]!r}; choose one of {', '.join(SERVICES)}"
            )
        if not 1 <= self.month <= 12:
            raise InvalidInputError(f"there is no month {self.month}; choose from 1 to 12")
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
        """Where the month lies in a lake; a POSIX path on every system."""
        return f"data/{self.color}/{self.stem}.parquet"

    @property
    def first_day(self) -> date:
        """The value of `trip_month` in a warehouse."""
        return date(self.year, self.month, 1)

    @property
    def next_first_day(self) -> date:
        return date(self.year + self.month // 12, self.month % 12 + 1, 1)


def trip_months(color: Color, year: int, months: list[int]) -> list[TripMonth]:
    """The months to do, checked before the first of them is begun."""
    if not months:
        raise InvalidInputError(
            "the list of months is empty; name at least one, such as 1,2 or 5-7"
        )
    repeated = [str(month) for month, times in Counter(months).items() if times > 1]
    if repeated:
        raise InvalidInputError(
            f"the list of months repeats {', '.join(repeated)[:40]}; name each month once"
        )
    return [TripMonth(color, year, month) for month in months]


def parse_months(text: str) -> list[int]:
    """`1,2,5-7`, or `[1,2]` as `prefect deployment run` takes it, as a list of months."""
    months: list[int] = []
    for piece in filter(None, re.split(r"[,\s]+", text.strip("[] "))):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", piece)
        if not match:
            raise InvalidInputError(
                f"cannot read the months {text[:80]!r}; write them as 1,2 or 5-7"
            )
        first, last = _month(match[1]), _month(match[2] or match[1])
        if last < first:
            raise InvalidInputError(f"the months {piece!r} run backwards; write {last}-{first}")
        months += range(first, last + 1)
    return months


def _month(digits: str) -> int:
    if not re.fullmatch(r"0*([1-9]|1[0-2])", digits):
        raise InvalidInputError(f"there is no month {digits[:20]}; choose from 1 to 12")
    return int(digits[-2:])


def parse_integer(text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        raise InvalidInputError(f"{text[:80]!r} is no whole number; write 2021, or 1")
    return int(text)
