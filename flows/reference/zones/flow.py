"""web -> the lake -> the warehouse: the TLC's taxi zones, to join the trips with.

By hand: `python flows/reference/zones/flow.py`, or `python -m reference.zones.flow`
"""

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.run_months import check_stores

from .tasks import combine, fetch, write_lake, write_warehouse


@flow(name="zones")
def zones() -> int:
    """Put the names and the shapes of the TLC's zones into the lake and the warehouse."""
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
