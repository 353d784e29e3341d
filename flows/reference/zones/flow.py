"""Flow that loads the TLC's taxi zones into lake and warehouse.

Run it with `python flows/reference/zones/flow.py` or `python -m reference.zones.flow`.
"""

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.run_months import check_stores

from .tasks import combine, fetch, write_lake, write_warehouse


@flow(name="zones")
def zones() -> int:
    """Load the names and shapes of the TLC's taxi zones into the lake and the warehouse."""
    check_stores("lake", "warehouse")
    lookup = fetch("taxi_zone_lookup.csv")
    shapes = fetch("taxi_zones.zip")
    parquet = combine(lookup, shapes)
    write_lake(parquet)
    rows = write_warehouse()
    print(f"zones: {rows}")
    return rows


if __name__ == "__main__":
    command(zones, "lake", "warehouse")
