"""Registry of targets, by the kind in an address such as `duckdb:data/warehouse.duckdb`."""

from nyc_taxi.registry import resolve
from nyc_taxi.transform.targets.base import Target

TARGETS = {
    "duckdb": "nyc_taxi.transform.targets.duckdb:DuckDBTarget.from_address",
    "postgres": "nyc_taxi.transform.targets.postgres:PostgresTarget.from_address",
    "bigquery": "nyc_taxi.transform.targets.bigquery:BigQueryTarget.from_address",
    "spark": "nyc_taxi.transform.targets.spark:SparkTarget.from_address",
}


def open_target(address: str) -> Target:
    """Open the warehouse at `address` for builds. Raises InvalidInputError for an unknown kind."""
    target: Target = resolve(TARGETS, address, setting="NYC_TAXI_WAREHOUSE")
    return target
