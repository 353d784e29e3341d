"""TripMonth, and parsing of lists of months."""

from datetime import date

import cyclopts
import pytest

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.orchestration.params import Months
from nyc_taxi.trips.months import TripMonth, parse_months, trip_months
from nyc_taxi.trips.schemas import SERVICES


def test_month_has_key_and_first_days() -> None:
    trips = TripMonth("yellow", 2021, 12)
    assert str(trips) == "yellow 2021-12"
    assert trips.key == "data/yellow/yellow_tripdata_2021-12.parquet"
    assert trips.first_day == date(2021, 12, 1)
    assert trips.next_first_day == date(2022, 1, 1)


@pytest.mark.parametrize("color", SERVICES)
def test_first_month_of_a_color_is_the_earliest_accepted(color: str) -> None:
    year, month = SERVICES[color].first  # type: ignore[index]
    TripMonth(color, year, month)  # type: ignore[arg-type]
    before = (year, month - 1) if month > 1 else (year - 1, 12)
    with pytest.raises(InvalidInputError, match=f"first month is {year}-{month:02}"):
        TripMonth(color, *before)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("month", "message"),
    [
        (("purple", 2021, 1), "yellow, green, fhv, fhvhv"),
        (("yellow", 2021, 13), "from 1 to 12"),
        (("yellow", 2021, 0), "from 1 to 12"),
        (("yellow", date.today().year + 1, 1), "in the future"),
    ],
)
def test_invalid_month_is_rejected(month: tuple[str, int, int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TripMonth(*month)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "months"),
    [("1", [1]), ("1,2,5-7", [1, 2, 5, 6, 7]), ("[1, 2]", [1, 2]), ("11-12", [11, 12]), ("", [])],
)
def test_parse_months_reads_lists_and_ranges(text: str, months: list[int]) -> None:
    assert parse_months(text) == months


@pytest.mark.parametrize("text", ["one", "1;2", "-1", "7-5", "1-2-3", "1.5"])
def test_parse_months_rejects_invalid_text(text: str) -> None:
    with pytest.raises(InvalidInputError, match="write"):
        parse_months(text)


@pytest.mark.parametrize(("months", "message"), [([], "empty"), ([1, 2, 1], "repeats 1")])
def test_trip_months_rejects_empty_and_repeated_months(months: list[int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        trip_months("yellow", 2021, months)


@pytest.mark.parametrize(
    "words", ["--months 1,2", "--months [1,2]", "--months 1 2", "--months 1 --month 2", '["1","2"]']
)
def test_months_option_keeps_every_month(words: str) -> None:
    """Bug: of `[1,2]` and of a repeated option only the first month was loaded."""
    app = cyclopts.App(result_action="return_value")

    @app.default
    def run(months: Months = [1]) -> list[int]:
        return months

    assert app(words.split()) == [1, 2]
