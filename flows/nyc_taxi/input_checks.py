"""Checks of a script's input that need no server: parameters, settings, addresses, rules."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import Flow

from nyc_taxi.conform.column_rules import read_rules
from nyc_taxi.errors import NotPublishedError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.registry import Store
from nyc_taxi.settings import settings
from nyc_taxi.sources.locations import locate
from nyc_taxi.trips.date_ranges import date_range
from nyc_taxi.trips.months import TripMonth, trip_months
from nyc_taxi.warehouses.registry import open_warehouse


def check_input(flow: Flow[..., Any], given: Mapping[str, Any], stores: tuple[Store, ...]) -> None:
    """Raise an error for an invalid parameter, setting or rule, or the address of one of `stores`.

    Raises InvalidInputError, or Prefect's ParameterTypeError.
    """
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(flow.fn).parameters.items()
    }
    values = flow.validate_parameters({**defaults, **given})
    match values:
        case {"color": color, "year": year, "months": months}:
            trip_months(color, year, months)
        case {"color": color, "year": year, "month": month}:
            TripMonth(color, year, month)
        case {"start_date": start, "end_date": end}:
            date_range(start, end, values.get("mode") == "backfill")
    config = settings()
    with suppress(NotPublishedError):  # reported later, with the name of the month
        locate(TripMonth("yellow", 2021, 1), config.source_url)
    if "lake" in stores:
        open_lake(config.lake)
    if "warehouse" in stores:
        open_warehouse(config.warehouse, values.get("method", "load"))
    read_rules(Path(inspect.getfile(flow.fn)).with_name("config"))
