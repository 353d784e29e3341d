"""web -> the lake for several months: one `etl-web-to-gcs` subflow each, a few at a time."""

from nyc_taxi.cli import command

from prefect import flow

from etl_web_to_gcs import etl_web_to_gcs
from nyc_taxi.colors import Color
from nyc_taxi.months import TripMonth, trip_months
from nyc_taxi.reports import MonthReport
from nyc_taxi.running import Months, Year, check_stores, each_month


def web_to_gcs(trips: TripMonth) -> MonthReport:
    return etl_web_to_gcs(trips.color, trips.year, trips.month)


@flow(name="etl-parent-flow", flow_run_name="{color} {year} {months}")
def etl_parent_flow(months: Months = [1, 2], year: Year = 2021, color: Color = "yellow") -> None:
    """Fetch months of trips, clean them and put them into the lake as Parquet."""
    check_stores("lake")
    each_month(web_to_gcs, trip_months(color, year, months), table=f"{color}-{year}")


if __name__ == "__main__":
    command(etl_parent_flow, "lake")
