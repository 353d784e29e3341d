"""The dates of a run, and every one that is refused."""

from datetime import date, timedelta

import pytest

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.trips.date_ranges import date_range, parse_day

TODAY = date.today()


def test_range_defaults_to_the_last_months() -> None:
    start, end = date_range(None, None)
    assert end == TODAY
    assert start.day == 1
    assert (TODAY.year * 12 + TODAY.month) - (start.year * 12 + start.month) == 5
    assert date_range(None, date(2010, 5, 1)) == (date(2010, 5, 1), date(2010, 5, 1))
    assert date_range(date(2010, 5, 1), None) == (date(2010, 5, 1), TODAY)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (date(2024, 5, 2), date(2024, 5, 1), "2024-05-01 is before --start-date 2024-05-02; swap"),
        (date(2024, 5, 2), TODAY + timedelta(days=1), "--end-date .* is in the future; today is"),
        (TODAY + timedelta(days=1), None, "--start-date .* is in the future"),
        (date(2008, 12, 31), None, "--start-date 2008-12-31 is before the TLC's first trips"),
    ],
)
def test_invalid_range_is_refused(start: date, end: date | None, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        date_range(start, end)


def test_day_is_parsed() -> None:
    assert parse_day("2024-02-29") == date(2024, 2, 29)


@pytest.mark.parametrize("text", ["2023-02-29", "2024-5-1", "20240501", "2024-W18-1", "today", ""])
def test_invalid_day_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a date; write YYYY-MM-DD"):
        parse_day(text)
