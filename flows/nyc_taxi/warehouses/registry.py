"""Kinds of warehouse, by the word before the colon of an address such as `duckdb:data/x.duckdb`."""

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.registry import resolve
from nyc_taxi.warehouses.base import Method, Warehouse

WAREHOUSES = {
    "duckdb": "nyc_taxi.warehouses.duckdb:DuckDBWarehouse.from_address",
    "postgres": "nyc_taxi.warehouses.postgres.warehouse:PostgresWarehouse.from_address",
    "bigquery": "nyc_taxi.warehouses.bigquery:BigQueryWarehouse.from_address",
}
DATAFRAME_WAREHOUSES = {
    "bigquery": "nyc_taxi.warehouses.bigquery_dataframe:BigQueryDataFrameWarehouse.from_address",
}


def open_warehouse(address: str, method: Method = "load") -> Warehouse:
    """Raise InvalidInputError for an unknown kind, or one that does not load DataFrames."""
    warehouse: Warehouse = resolve(WAREHOUSES, address, setting="NYC_TAXI_WAREHOUSE")
    if method == "load":
        return warehouse
    if address.partition(":")[0] not in DATAFRAME_WAREHOUSES:
        raise InvalidInputError(
            f"only BigQuery loads DataFrames, not NYC_TAXI_WAREHOUSE={address!r}; "
            "omit --method, or set NYC_TAXI_WAREHOUSE=bigquery:zoom-gcp-creds"
        )
    by_dataframe: Warehouse = resolve(DATAFRAME_WAREHOUSES, address, "NYC_TAXI_WAREHOUSE")
    return by_dataframe
