"""Sources -> lake -> warehouse: trips of all colors, air quality and weather, as published.

Run it with `python flows/lakehouse/bronze/flow.py` or `python -m lakehouse.bronze.flow`.
"""

from functools import partial

from nyc_taxi.cli import command

from prefect import flow

from load_new_months import find_loads
from nyc_taxi.orchestration.params import EndDate, StartDate
from nyc_taxi.orchestration.run_months import check_stores, run_months

from .plan import Mode, plan_hours, plan_trips, run_dates
from .tasks import load, load_references


@flow(name="bronze", flow_run_name="{mode}")
def bronze(mode: Mode = "upsert", start_date: StartDate = None, end_date: EndDate = None) -> int:
    """Load months of trips of all colors, and the hours of air quality and weather.

    Args:
        mode: upsert loads what is new, replaced or still revised; backfill loads everything again.
        start_date: First day; its whole month is loaded.
        end_date: Last day; its whole month is loaded.
    """
    check_stores("lake", "warehouse")
    dates = run_dates(mode, start_date, end_date)
    load_references()
    loads = find_loads()
    months = [*plan_hours(mode, dates, loads), *plan_trips(dates)]
    reports = run_months(partial(load, mode=mode, loads=loads), months, table="bronze")
    rows = sum(report.rows for report in reports if report)
    print(f"total rows: {rows}")
    return rows


if __name__ == "__main__":
    command(bronze, "lake", "warehouse")
