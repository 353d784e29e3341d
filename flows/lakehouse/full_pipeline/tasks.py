"""Steps of the flow."""

import time
from datetime import UTC, date, datetime
from typing import Annotated

from lakehouse.bronze.flow import bronze
from lakehouse.bronze.plan import Mode
from nyc_taxi.sources.open_meteo_tables import SETTLED
from nyc_taxi.transform.metrics import LayerMetrics
from nyc_taxi.trips.ui_field import ui_field

Hourly = Annotated[
    bool, ui_field("Without a first day: load only the days whose air and weather are revised.")
]


def first_day(hourly: bool, start_date: date | None) -> date | None:
    """Return the first day to load; None for the default of bronze."""
    recent = (datetime.now(UTC) - SETTLED).date() if hourly else None
    return start_date or recent


def load_bronze(mode: Mode, start_date: date | None, end_date: date | None) -> LayerMetrics:
    started = time.monotonic()
    rows = bronze(mode, start_date, end_date)
    return LayerMetrics("bronze", rows, rows, seconds=time.monotonic() - started)
