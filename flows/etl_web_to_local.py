"""TLC site -> Parquet: ingest one month of trips into a clean local file."""

from pathlib import Path

from nyc_taxi.cli import command

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.conform.anomalies import MonthReport
from nyc_taxi.conform.plan import Plan, conform, write_month
from nyc_taxi.conform.trip_column_rules import read_trip_rules
from nyc_taxi.orchestration.artifacts import publish_reports
from nyc_taxi.orchestration.params import Month, Year
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.settings import settings
from nyc_taxi.sources.file_versions import discard_if_corrupt
from nyc_taxi.sources.tlc import fetch_month
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import Color

CONFIG = Path(__file__).with_name("config")


@task(cache_policy=NO_CACHE, **RETRIES)
def fetch(trips: TripMonth) -> Path:
    """Download the month, unless the local copy is current."""
    read_trip_rules(CONFIG, trips.color)  # invalid rules fail before the download
    config = settings()
    return fetch_month(trips, config.source_url, config.data_dir / "raw", config.timeout)


@task(cache_policy=NO_CACHE)
def clean(trips: TripMonth, raw: Path) -> Plan:
    """Plan the conversion of the file to the schema of its color and the rules in `config/`.

    The name is the course's; no trips are removed, and write_local carries out the plan.
    """
    with discard_if_corrupt(raw, settings().source_url):
        plan = conform(trips, raw, read_trip_rules(CONFIG, trips.color))
    for note in plan.notes:
        get_run_logger().info("%s: %s", trips, note)
    return plan


@task(cache_policy=NO_CACHE)
def write_local(plan: Plan) -> MonthReport:
    """Write the month as Parquet, atomically."""
    report = write_month(plan, settings())
    publish_reports([report], key=str(plan.trips).replace(" ", "-"))
    get_run_logger().info(str(report))
    return report


@flow(name="etl-web-to-local", flow_run_name="{color} {year}-{month:02}")
def etl_web_to_local(color: Color = "yellow", year: Year = 2021, month: Month = 1) -> Path:
    """Fetch a month of trips, clean it and write it as a local Parquet file."""
    trips = TripMonth(color, year, month)
    raw = fetch(trips)
    plan = clean(trips, raw)
    report = write_local(plan)
    print(plan.preview(), f"rows: {report.rows}", sep="\n")
    return report.path


if __name__ == "__main__":
    command(etl_web_to_local)
