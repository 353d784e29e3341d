"""Upload the clean month to the bucket."""

from pathlib import Path

from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from nyc_taxi.lakes.gcs import GcsLake


def run(parquet: Path) -> None:
    GcsLake(GcsBucket(bucket="nyc-taxi", gcp_credentials=GcpCredentials())).put(
        parquet, parquet.name
    )
