"""web -> the lake -> the warehouse: what the TLC has published, or replaced, since the last run."""

from functools import partial
from itertools import islice
from typing import Annotated

from nyc_taxi.cli import command

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from etl_web_to_bq import web_to_bq
from nyc_taxi.conform.anomalies import MonthReport
from nyc_taxi.orchestration.load_state import is_loaded, remember_loaded
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.orchestration.run_months import check_stores, run_months
from nyc_taxi.settings import settings
from nyc_taxi.sources.published import months_back, newest_month
from nyc_taxi.sources.tlc import published_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import Color
from nyc_taxi.trips.ui_field import ui_field
from nyc_taxi.warehouses.registry import open_warehouse

Back = Annotated[
    int,
    ui_field("How many months, the newest included, the warehouse should hold.", minimum=1),
]


@task(cache_policy=NO_CACHE, **RETRIES)
def find_newest(color: Color) -> TripMonth:
    """Ask the source for this month, the one before, and so on, until it has one."""
    config = settings()
    newest = newest_month(color, config.source_url, config.timeout)
    get_run_logger().info("the newest month of the source: %s", newest)
    return newest


@task(cache_policy=NO_CACHE, **RETRIES)
def find_version(trips: TripMonth) -> str | None:
    """Which file the source has of the month: the TLC replaces some of them later."""
    config = settings()
    return published_version(trips, config.source_url, config.timeout)


@task(cache_policy=NO_CACHE, **RETRIES)
def is_in_warehouse(trips: TripMonth, version: str | None) -> bool:
    """Whether the warehouse at NYC_TAXI_WAREHOUSE holds this version of the month."""
    place = settings().warehouse
    same = version is None or is_loaded(trips, version, place)
    return same and open_warehouse(place).count(trips) > 0


def load_version(trips: TripMonth, keep_missing: bool) -> MonthReport | None:
    if is_in_warehouse(trips, find_version(trips)):
        get_run_logger().info("%s is in the warehouse already", trips)
        return None
    report = web_to_bq(trips, keep_missing, method="load")
    # Not what find_version said: the source may have given another file since, or from a cache.
    remember_loaded(trips, report.version, settings().warehouse)
    return report


@flow(name="load-new-months", flow_run_name="{color}")
def load_new_months(color: Color = "yellow", back: Back = 3, keep_missing: bool = False) -> int:
    """Load what the TLC has published or replaced; where there is nothing new, that is fine too.

    Args:
        keep_missing: Keep unknown passenger counts null instead of making them 0.
    """
    check_stores("lake", "warehouse")
    newest = find_newest(color)
    wanted = islice(months_back(color, newest.year, newest.month), back)
    load = partial(load_version, keep_missing=keep_missing)
    reports = run_months(load, list(wanted), table=f"{color}-new")
    rows = sum(report.rows for report in reports if report)
    print(f"total rows: {rows}")
    return rows


if __name__ == "__main__":
    command(load_new_months, "lake", "warehouse")
