"""Flow that loads payment types, rate codes, vendors and trip types into the warehouse.

Run it with `python flows/reference/lookups/flow.py` or `python -m reference.lookups.flow`.
"""

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.run_months import check_stores
from nyc_taxi.trips.lookup_tables import LOOKUPS

from .tasks import write_file, write_warehouse


@flow(name="lookups")
def lookups() -> int:
    """Load the names of the trips' codes into the warehouse."""
    check_stores("warehouse")
    rows = sum(write_warehouse(table, write_file(table)) for table in LOOKUPS)
    print(f"lookups: {rows}")
    return rows


if __name__ == "__main__":
    command(lookups, "warehouse")
