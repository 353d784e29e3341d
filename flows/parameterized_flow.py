"""TLC site -> lake: ingest several months, one `etl-web-to-gcs` subflow per month."""

from nyc_taxi.cli import command

from prefect import flow

from etl_web_to_gcs import etl_web_to_gcs
from nyc_taxi.conform.anomalies import MonthReport
from nyc_taxi.orchestration.params import Months, Year
from nyc_taxi.orchestration.run_months import check_stores, run_months
from nyc_taxi.trips.months import TripMonth, trip_months
from nyc_taxi.trips.schemas import Color


def web_to_gcs(trips: TripMonth) -> MonthReport:
    return etl_web_to_gcs(trips.color, trips.year, trips.month)


@flow(name="etl-parent-flow", flow_run_name="{color} {year} {months}")
def etl_parent_flow(months: Months = [1, 2], year: Year = 2021, color: Color = "yellow") -> None:
    """Fetch months of trips, clean them and write them to the lake as Parquet."""
    check_stores("lake")
    run_months(web_to_gcs, trip_months(color, year, months), table=f"{color}-{year}")


if __name__ == "__main__":
    command(etl_parent_flow, "lake")
