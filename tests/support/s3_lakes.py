"""S3 lakes at an address, with credentials that no server checks, and a file in parts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from prefect_aws import AwsCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from pydantic import SecretStr

from nyc_taxi.lakes.s3 import PART, S3Lake

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


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    """A file of three parts."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1000) * (2 * PART // 1000 + 1000))
    return path
