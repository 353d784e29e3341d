"""Tasks of the flow; shapes.py converts the shapes."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.conform.column_rules import read_rules
from nyc_taxi.lakes.base import uri_or_local_copy
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.settings import settings
from nyc_taxi.sources.reference_files import fetch_reference_file
from nyc_taxi.warehouses.registry import open_warehouse

from .comments import COMMENTS
from .shapes import TABLE, read_lookup, read_shapes, write_zones

KEY = f"data/reference/{TABLE}.parquet"
CONFIG = Path(__file__).with_name("config")


@task(cache_policy=NO_CACHE, **RETRIES)
def fetch(name: str) -> Path:
    """Download a reference file of NYC_TAXI_SOURCE_URL."""
    config = settings()
    return fetch_reference_file(name, config.source_url, config.data_dir / "raw", config.timeout)


@task(cache_policy=NO_CACHE)
def combine(lookup: Path, shapes: Path) -> Path:
    """Write one row per zone of the lookup, with its shape if it has one."""
    target = settings().data_dir / KEY.removeprefix("data/")
    return write_zones(read_lookup(lookup), read_shapes(shapes), read_rules(CONFIG), target)


@task(cache_policy=NO_CACHE, **RETRIES)
def write_lake(parquet: Path) -> str:
    """Write the zones to the lake at NYC_TAXI_LAKE."""
    address = open_lake(settings().lake).put(parquet, KEY)
    get_run_logger().info("wrote the zones to %s", address)
    return address


@task(cache_policy=NO_CACHE, **RETRIES)
def write_warehouse() -> int:
    """Replace the table in the warehouse at NYC_TAXI_WAREHOUSE with the file in the lake."""
    warehouse = open_warehouse(settings().warehouse)
    return warehouse.replace_table(
        TABLE, uri_or_local_copy(open_lake(settings().lake), KEY, warehouse.reads), COMMENTS
    )
