"""S3 lakes at an address, with credentials that no server checks."""

from __future__ import annotations

from typing import Any

from prefect_aws import AwsCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from pydantic import SecretStr

from nyc_taxi.lakes.s3 import S3Lake

SECRET = "wJalrXUtnFEMI/K7MDENG"
ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}


def lake_at(url: str, **options: Any) -> S3Lake:
    """A lake whose requests are sent once."""
    credentials = AwsCredentials(
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key=SecretStr(SECRET),
        region_name="eu-west-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=url, config={**ONCE, **options}),
    )
    return S3Lake(S3Bucket(bucket_name="trips", credentials=credentials))
