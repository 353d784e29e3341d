"""Flow parameters: types, fields in the Prefect UI, and command-line options."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any

import cyclopts
from pydantic import Field

from nyc_taxi.trips.date_ranges import parse_day
from nyc_taxi.trips.months import parse_integer, parse_months, parse_trip_months
from nyc_taxi.trips.ui_field import ui_field


def _option(read: Callable[[str], Any], *names: str, help: str = "") -> cyclopts.Parameter:
    """Declare an option parsed by `read`; cyclopts itself would round `1.5`.

    Several values of a list, also in JSON or in a repeated option, are joined with commas.
    """

    def convert(_: Any, words: Sequence[cyclopts.Token]) -> Any:
        return read(",".join(word.value for word in words))

    return cyclopts.Parameter(
        name=names,
        help=help or None,
        n_tokens=1,
        consume_multiple=True,
        negative=(),
        converter=convert,
    )


_ONE_TO_TWELVE: dict[str, Any] = {"minimum": 1, "maximum": 12}
Year = Annotated[
    int, ui_field("Year of the files.", minimum=2009), _option(parse_integer, "--year")
]
Month = Annotated[
    int,
    ui_field("Month of the file, 1 to 12.", **_ONE_TO_TWELVE),
    _option(parse_integer, "--month"),
]
Months = Annotated[
    list[Annotated[int, Field(json_schema_extra=_ONE_TO_TWELVE)]],
    ui_field("Months of the files, such as [1, 2].", minItems=1, uniqueItems=True),
    _option(parse_months, "--months", "--month", help="Months, such as 1,2 or 5-7."),
]
TripMonths = Annotated[
    list[Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]] | None,
    ui_field('Only these months, such as ["2021-01", "2021-02"]. Default: all.'),
    _option(
        parse_trip_months,
        "--months",
        "--month",
        help="Only these months, such as 2021-01,2021-02. Default: all.",
    ),
]
PlanOnly = Annotated[bool, ui_field("Only show which months are stale, and why.")]
FirstDay = Annotated[
    date,
    ui_field("First day; its whole month is loaded."),
    _option(parse_day, "--start-date"),
]
LastDay = Annotated[
    date,
    ui_field("Last day; its whole month is loaded."),
    _option(parse_day, "--end-date"),
]
StartDate = Annotated[
    date | None,
    ui_field("First day; its whole month is loaded. Default: the months of the last half year."),
    _option(parse_day, "--start-date"),
]
EndDate = Annotated[
    date | None,
    ui_field("Last day; its whole month is loaded. Default: today."),
    _option(parse_day, "--end-date"),
]
