"""Which months and hours a run loads."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from nyc_taxi.sources.open_meteo_months import (
    HourlyMonth,
    HourlyRequest,
    group_months,
    hourly_months,
)
from nyc_taxi.sources.open_meteo_tables import HOURLY_TABLES
from nyc_taxi.trips.date_ranges import date_range, next_month
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES
from nyc_taxi.trips.ui_field import ui_field
from nyc_taxi.warehouses.loads import Loads

Mode = Annotated[
    Literal["upsert", "backfill"],
    ui_field("upsert: what is new, replaced or still revised; backfill: everything again."),
]


@dataclass(frozen=True)
class Dates:
    """The range of a run."""

    start: date
    end: date
    given: bool
    """False if the start is a default: then the hours of all loaded trips are wanted too."""


def run_dates(mode: Mode, start: date | None, end: date | None) -> Dates:
    """Return the range of a run. Raises InvalidInputError; a backfill needs a start."""
    return Dates(*date_range(start, end, mode == "backfill"), given=start is not None)


def plan_trips(dates: Dates) -> list[TripMonth]:
    """Return the months of all colors, from the color's first one."""
    months = [
        (year, month)
        for year in range(dates.start.year, dates.end.year + 1)
        for month in range(1, 13)
        if (dates.start.year, dates.start.month)
        <= (year, month)
        <= (dates.end.year, dates.end.month)
    ]
    return [
        TripMonth(color, *month)
        for color, service in SERVICES.items()
        for month in months
        if month >= service.first
    ]


def plan_hours(mode: Mode, dates: Dates, loads: Loads) -> list[HourlyRequest]:
    """Return the requests of a run; an upsert skips months that are settled (SETTLED).

    The month after the last one is wanted too: it has, in UTC, the last evening in New York.
    """
    ranges = [(dates.start, next_month(dates.end))]
    if not dates.given:
        trip_months = {month for table, month in loads if table.endswith("_rides")}
        ranges += [(month, next_month(month)) for month in trip_months]
    today = datetime.now(UTC).date()
    wanted = {
        month
        for table in HOURLY_TABLES
        for start, end in ranges
        for month in hourly_months(table, start, min(end, today))
        if mode == "backfill" or not _is_settled(month, loads)
    }
    return group_months(sorted(wanted, key=lambda m: (m.table.name, m.year, m.month)))


def _is_settled(month: HourlyMonth, loads: Loads) -> bool:
    load = loads.get((month.table.name, month.first_day))
    return load is not None and month.is_settled(load.loaded_at)
