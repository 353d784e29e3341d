"""The TLC's taxi zones -> BigQuery, as `dezoomcamp.zones` to join the trips with."""

from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.dataframes import open_dataframes
from nyc_taxi.running import RETRIES, command
from nyc_taxi.settings import settings
from nyc_taxi.zones import fetch_zones


@task(cache_policy=NO_CACHE, **RETRIES)
def fetch() -> Path:
    """Download the lookup that lies beside the months at NYC_TAXI_SOURCE_URL."""
    config = settings()
    return fetch_zones(config.source_url, config.data_dir / "raw", config.timeout)


@task(cache_policy=NO_CACHE, **RETRIES)
def write_bq(lookup: Path) -> int:
    """Replace the zones in the warehouse at NYC_TAXI_WAREHOUSE."""
    return open_dataframes(settings().warehouse).replace_zones(lookup)


@flow(name="etl-zones-to-bq")
def etl_zones_to_bq() -> int:
    """Fetch the TLC's zone lookup and put it into BigQuery."""
    lookup = fetch()
    zones = write_bq(lookup)
    print(f"zones: {zones}")
    return zones


if __name__ == "__main__":
    command(etl_zones_to_bq)
