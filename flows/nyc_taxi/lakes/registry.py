"""Registry of lakes, by the kind in an address such as `local:data/lake`."""

from nyc_taxi.lakes.base import Lake
from nyc_taxi.registry import resolve

LAKES = {
    "local": "nyc_taxi.lakes.local:LocalLake.from_address",
    "gcs": "nyc_taxi.lakes.gcs:GcsLake.from_address",
    "s3": "nyc_taxi.lakes.s3:S3Lake.from_address",
    "hdfs": "nyc_taxi.lakes.hdfs:HdfsLake.from_address",
}


def open_lake(address: str) -> Lake:
    """Open the lake at `address`. Raises InvalidInputError for an unknown kind."""
    lake: Lake = resolve(LAKES, address, setting="NYC_TAXI_LAKE")
    return lake
