"""web -> the lake -> the warehouse: whatever the TLC has published since the last run."""

from functools import partial
from itertools import islice
from typing import Annotated

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from etl_web_to_bq import web_to_bq
from nyc_taxi.colors import Color
from nyc_taxi.forms import described
from nyc_taxi.months import TripMonth
from nyc_taxi.newest import months_back, newest_month
from nyc_taxi.reports import publish
from nyc_taxi.running import RETRIES, command, each_month
from nyc_taxi.settings import settings
from nyc_taxi.warehouses import open_warehouse

Back = Annotated[
    int,
    described("How many months, the newest included, the warehouse should hold.", minimum=1),
]


@task(cache_policy=NO_CACHE, **RETRIES)
def find_newest(color: Color) -> TripMonth:
    """Ask the source for this month, the one before, and so on, until it has one."""
    config = settings()
    newest = newest_month(color, config.source_url, config.timeout)
    get_run_logger().info("the newest month of the source: %s", newest)
    return newest


@task(cache_policy=NO_CACHE, **RETRIES)
def find_missing(newest: TripMonth, back: int) -> list[TripMonth]:
    """Which of the last months the warehouse at NYC_TAXI_WAREHOUSE has no trips of."""
    warehouse = open_warehouse(settings().warehouse)
    wanted = islice(months_back(newest.color, newest.year, newest.month), back)
    missing = sorted(trips for trips in wanted if not warehouse.count(trips))
    get_run_logger().info("to load: %s", ", ".join(map(str, missing)) or "nothing new")
    return missing


@flow(name="load-new-months", flow_run_name="{color}")
def load_new_months(color: Color = "yellow", back: Back = 3, keep_missing: bool = False) -> int:
    """Load what the TLC has newly published; where there is nothing new, that is fine too.

    Args:
        keep_missing: Keep unknown passenger counts null instead of making them 0.
    """
    newest = find_newest(color)
    missing = find_missing(newest, back)
    reports = each_month(partial(web_to_bq, keep_missing=keep_missing, method="load"), missing)
    publish(reports, key=f"{color}-new")
    rows = sum(report.rows for report in reports)
    print(f"total rows: {rows}")
    return rows


if __name__ == "__main__":
    command(load_new_months)
