"""Save the blocks for S3: AwsCredentials `zoom-s3-creds` and S3Bucket `zoom-s3`.

The values come from the environment or `.env`: NYC_TAXI_S3_BUCKET, NYC_TAXI_S3_FOLDER and
NYC_TAXI_S3_ADDRESSING; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (empty for the machine's own
credentials), AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL_S3 (empty for Amazon). Temporary credentials,
with AWS_SESSION_TOKEN, are not saved: flows read them where they run. Rerun it after a change.
"""

import os
from typing import cast
from urllib.parse import urlsplit

from nyc_taxi.cli import script

from prefect_aws import AwsCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from pydantic import SecretStr

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import settings
from nyc_taxi.storage.bucket_names import S3
from nyc_taxi.urls import safe_url

CREDENTIALS, BUCKET = "zoom-s3-creds", "zoom-s3"


def make_s3_block() -> None:
    config = settings()
    bucket, folder = S3.bucket(config.s3_bucket), S3.folder(config.s3_folder).rstrip("/")
    url = _endpoint(bucket)
    key, secret = _keys()
    addressing = {"s3": {"addressing_style": config.s3_addressing}}
    credentials = AwsCredentials(
        aws_access_key_id=key,
        aws_secret_access_key=SecretStr(secret) if secret else None,
        region_name=_variable("AWS_DEFAULT_REGION") or _variable("AWS_REGION"),
        aws_client_parameters=AwsClientParameters(
            endpoint_url=url, config=None if config.s3_addressing == "auto" else addressing
        ),
    )
    credentials.save(CREDENTIALS, overwrite=True)
    saved = cast(AwsCredentials, AwsCredentials.load(CREDENTIALS))
    S3Bucket(bucket_name=bucket, bucket_folder=folder, credentials=saved).save(
        BUCKET, overwrite=True
    )
    owner = "keys of the environment" if key else "this machine's own credentials"
    print(f"block {BUCKET}: s3://{bucket}/{folder} at {url or 'Amazon'}, {owner}")


def _endpoint(bucket: str) -> str | None:
    """Return the URL of the API; None for Amazon. It may have a path, as Supabase's does."""
    name = "AWS_ENDPOINT_URL_S3" if _variable("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    url = _variable(name)
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise InvalidInputError(
            f"{name}={safe_url(url)!r} is not a URL of an S3 API; write https://HOST:PORT"
        )
    host = parts.hostname.split(".")
    if bucket == parts.path.rstrip("/").rpartition("/")[2] or (bucket == host[0] and host[3:]):
        raise InvalidInputError(
            f"{name}={safe_url(url)!r} holds the bucket's name, which is added to each request; "
            "write the URL without it"
        )
    return url.rstrip("/")


def _keys() -> tuple[str | None, str | None]:
    key, secret = _variable("AWS_ACCESS_KEY_ID"), _variable("AWS_SECRET_ACCESS_KEY")
    if _variable("AWS_SESSION_TOKEN"):
        return None, None
    if bool(key) != bool(secret):
        missing = "AWS_SECRET_ACCESS_KEY" if key else "AWS_ACCESS_KEY_ID"
        raise InvalidInputError(
            f"{missing} is empty; set both keys, or neither to use this machine's own credentials"
        )
    return key, secret


def _variable(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


if __name__ == "__main__":
    script(make_s3_block)
