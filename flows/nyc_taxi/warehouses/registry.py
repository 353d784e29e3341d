"""Registry of warehouses, by the kind in an address such as `duckdb:data/warehouse.duckdb`."""

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.registry import resolve
from nyc_taxi.warehouses.base import Method, Warehouse

WAREHOUSES = {
    "duckdb": "nyc_taxi.warehouses.duckdb.warehouse:DuckDBWarehouse.from_address",
    "postgres": "nyc_taxi.warehouses.postgres.warehouse:PostgresWarehouse.from_address",
    "bigquery": "nyc_taxi.warehouses.bigquery.warehouse:BigQueryWarehouse.from_address",
    "spark": "nyc_taxi.warehouses.spark.warehouse:SparkWarehouse.from_address",
}
DATAFRAME_WAREHOUSES = {
    "bigquery": "nyc_taxi.warehouses.bigquery.dataframe:BigQueryDataFrameWarehouse.from_address",
}


def open_warehouse(address: str, method: Method = "load") -> Warehouse:
    """Open the warehouse at `address`.

    Raises InvalidInputError for an unknown kind, and for method="dataframe" except with BigQuery.
    """
    kinds = WAREHOUSES if method == "load" else DATAFRAME_WAREHOUSES
    if address.partition(":")[0] in WAREHOUSES.keys() - kinds.keys():
        raise InvalidInputError(
            f"only BigQuery supports --method dataframe, not NYC_TAXI_WAREHOUSE={address!r}; "
            "omit --method, or set NYC_TAXI_WAREHOUSE=bigquery:zoom-gcp-creds"
        )
    warehouse: Warehouse = resolve(kinds, address, setting="NYC_TAXI_WAREHOUSE")
    return warehouse
