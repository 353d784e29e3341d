"""TLC site -> lake -> warehouse: load the months published or replaced since the last run.

With --build also silver and gold of what is stale.
"""

from functools import partial
from itertools import islice
from typing import Annotated

from nyc_taxi.cli import command

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from etl_web_to_bq import web_to_bq
from lakehouse.layers import build_layers
from nyc_taxi.conform.anomalies import MonthReport
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.orchestration.run_months import check_stores, run_months
from nyc_taxi.settings import settings
from nyc_taxi.sources.published import months_back, newest_month
from nyc_taxi.sources.tlc import published_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import Color
from nyc_taxi.trips.ui_field import ui_field
from nyc_taxi.warehouses.loads import Loads
from nyc_taxi.warehouses.registry import open_warehouse

Back = Annotated[
    int,
    ui_field("Number of months to keep current, counted back from the newest.", minimum=1),
]


@task(cache_policy=NO_CACHE, **RETRIES)
def find_newest(color: Color) -> TripMonth:
    """Find the newest published month, counting back from the current one."""
    config = settings()
    newest = newest_month(color, config.source_url, config.timeout)
    get_run_logger().info("newest published month: %s", newest)
    return newest


@task(cache_policy=NO_CACHE, **RETRIES)
def find_version(trips: TripMonth) -> str | None:
    """Return the version token of the published file; the TLC replaces some files later."""
    config = settings()
    return published_version(trips, config.source_url, config.timeout)


@task(cache_policy=NO_CACHE, **RETRIES)
def find_loads() -> Loads:
    """Return the last load of each table and month of the warehouse."""
    loads = open_warehouse(settings().warehouse).read_loads()
    return {(load.table_name, load.trip_month): load for load in loads}


@task(cache_policy=NO_CACHE, **RETRIES)
def has_rows(trips: TripMonth) -> bool:
    """Return whether the month is still in the warehouse; someone may have dropped the table."""
    return open_warehouse(settings().warehouse).count(trips) > 0


def load_version(
    trips: TripMonth, loads: Loads, keep_missing: bool, skip_unpublished: bool = False
) -> MonthReport | None:
    version = find_version(trips)
    if version is None and skip_unpublished:
        get_run_logger().info("%s is not published", trips)
        return None
    load = loads.get((f"{trips.color}_rides", trips.first_day))
    if load and version in (None, load.source_version) and has_rows(trips):
        get_run_logger().info("%s is already loaded", trips)
        return None
    return web_to_bq(trips, keep_missing, method="load")


@flow(name="load-new-months", flow_run_name="{color}")
def load_new_months(
    color: Color = "yellow", back: Back = 3, keep_missing: bool = False, build: bool = False
) -> int:
    """Load new and replaced months; a no-op when nothing is new.

    Args:
        keep_missing: Keep unknown passenger counts null instead of setting them to 0.
        build: Build and publish silver and gold of the loaded months.
    """
    check_stores("lake", "warehouse")
    newest = find_newest(color)
    wanted = list(islice(months_back(color, newest.year, newest.month), back))
    load = partial(load_version, loads=find_loads(), keep_missing=keep_missing)
    reports = run_months(load, wanted, table=f"{color}-new")
    rows = sum(report.rows for report in reports if report)
    if build:
        build_layers(months=[f"{trips.first_day:%Y-%m}" for trips in wanted])
    print(f"total rows: {rows}")
    return rows


if __name__ == "__main__":
    command(load_new_months, "lake", "warehouse")
