"""TLC site -> Parquet -> lake -> warehouse: ingest and load months of trips in one run."""

from functools import partial

from nyc_taxi.cli import command

from prefect import flow

from etl_gcs_to_bq import load_month
from etl_web_to_gcs import etl_web_to_gcs
from nyc_taxi.conform.anomalies import MonthReport
from nyc_taxi.orchestration.params import Months, Year
from nyc_taxi.orchestration.run_months import check_stores, run_months
from nyc_taxi.trips.months import TripMonth, trip_months
from nyc_taxi.trips.schemas import Color
from nyc_taxi.warehouses.base import Method


def web_to_bq(trips: TripMonth, keep_missing: bool, method: Method) -> MonthReport:
    report = etl_web_to_gcs(trips.color, trips.year, trips.month)
    load_month(trips, keep_missing, method)
    return report


@flow(name="etl-web-to-bq", flow_run_name="{color} {year} {months}")
def etl_web_to_bq(
    months: Months = [1],
    year: Year = 2021,
    color: Color = "yellow",
    keep_missing: bool = False,
    method: Method = "load",
) -> int:
    """Ingest months of trips from the TLC's site into the lake and load them into the warehouse.

    Args:
        keep_missing: Keep unknown passenger counts null instead of setting them to 0.
        method: Load the Parquet file directly, or through a pandas DataFrame (BigQuery only).
    """
    check_stores("lake", "warehouse", method=method)
    load = partial(web_to_bq, keep_missing=keep_missing, method=method)
    reports = run_months(load, trip_months(color, year, months), table=f"{color}-{year}")
    rows = sum(report.rows for report in reports)
    print(f"total rows: {rows}")
    return rows


if __name__ == "__main__":
    command(etl_web_to_bq, "lake", "warehouse")
