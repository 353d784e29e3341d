"""The steps of the flow; the rows come from nyc_taxi/trips/lookup_tables.py."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import atomic_write
from nyc_taxi.trips.lookup_tables import lookup_rows
from nyc_taxi.trips.table_comments import lookup_comments
from nyc_taxi.warehouses.registry import open_warehouse


@task(cache_policy=NO_CACHE)
def write_file(table: str) -> Path:
    """Write the rows of a lookup table as Parquet."""
    path = settings().data_dir / "reference" / f"{table}.parquet"
    with atomic_write(path) as part:
        pq.write_table(pa.Table.from_pylist(lookup_rows(table)), part)
    return path


@task(cache_policy=NO_CACHE, **RETRIES)
def write_warehouse(table: str, parquet: Path) -> int:
    """Replace a lookup table in the warehouse at NYC_TAXI_WAREHOUSE."""
    warehouse = open_warehouse(settings().warehouse)
    return warehouse.replace_table(table, parquet, lookup_comments(table))
