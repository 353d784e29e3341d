"""TLC site -> Parquet -> lake: ingest one month of trips (default: local folder; or GCS)."""

from nyc_taxi.cli import command

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from etl_web_to_local import clean, fetch, write_local
from nyc_taxi.conform.anomalies import MonthReport
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.orchestration.params import Month, Year
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.orchestration.run_months import check_stores
from nyc_taxi.settings import settings
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import Color


@task(cache_policy=NO_CACHE, **RETRIES)
def write_gcs(report: MonthReport) -> str:
    """Upload the month to the lake at NYC_TAXI_LAKE.

    The name is the course's; the task works with every lake.
    """
    address = open_lake(settings().lake).put(report.path, report.trips.key)
    get_run_logger().info("%s written to the lake: %s", report.trips, address)
    return address


@flow(name="etl-web-to-gcs", flow_run_name="{color} {year}-{month:02}")
def etl_web_to_gcs(color: Color = "yellow", year: Year = 2021, month: Month = 1) -> MonthReport:
    """Fetch a month of trips, clean it and write it to the lake as Parquet."""
    check_stores("lake")
    trips = TripMonth(color, year, month)
    raw = fetch(trips)
    plan = clean(trips, raw)
    report = write_local(plan)
    write_gcs(report)
    return report


if __name__ == "__main__":
    command(etl_web_to_gcs, "lake")
