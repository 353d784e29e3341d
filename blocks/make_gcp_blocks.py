"""Make the blocks for Google Cloud: GcpCredentials `zoom-gcp-creds` and GcsBucket `zoom-gcs`.

The values come from the environment or `.env`: NYC_TAXI_GCP_CREDENTIALS (the path of a service
account's key, or its JSON; empty for the machine's own credentials), NYC_TAXI_GCP_PROJECT,
NYC_TAXI_GCS_BUCKET and NYC_TAXI_GCS_FOLDER. Run it again after a change; without one it changes
nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from nyc_taxi.cli import script

from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials
from prefect.blocks.core import Block
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import from_root, settings

CREDENTIALS, BUCKET = "zoom-gcp-creds", "zoom-gcs"


def make_gcp_blocks() -> None:
    config = settings()
    bucket = bucket_values(config.gcs_bucket, config.gcs_folder)
    key = service_account(config.gcp_credentials.get_secret_value())
    try:
        credentials = GcpCredentials(service_account_info=key, project=config.gcp_project or None)
    except GoogleAuthError as problem:
        raise InvalidInputError(
            "this machine has no credentials of its own; put a service account's key into "
            "NYC_TAXI_GCP_CREDENTIALS, or run: gcloud auth application-default login"
        ) from problem
    for kind in (GcpCredentials, GcsBucket):
        kind.register_type_and_schema()
    source = f"key of {key['client_email']}" if key else "this machine's own credentials"
    save(credentials, CREDENTIALS, f"{source}, project {credentials.project}")
    made = GcsBucket(gcp_credentials=GcpCredentials.load(CREDENTIALS), **bucket)
    save(made, BUCKET, f"gs://{made.bucket}/{made.bucket_folder}")


def bucket_values(bucket: str, folder: str) -> dict[str, str]:
    """Refuse what looks like an address, and say how it is written."""
    if not bucket:
        raise InvalidInputError(
            "NYC_TAXI_GCS_BUCKET is empty; put the bucket's name there, or into .env"
        )
    name, _, rest = bucket.removeprefix("gs://").strip("/").partition("/")
    if name != bucket:
        also = f" and NYC_TAXI_GCS_FOLDER={rest}" if rest else ""
        raise InvalidInputError(
            f"NYC_TAXI_GCS_BUCKET={bucket!r} is more than a name; "
            f"write NYC_TAXI_GCS_BUCKET={name}{also}"
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket):
        raise InvalidInputError(
            f"NYC_TAXI_GCS_BUCKET={bucket!r} is no bucket's name: it has 3 or more of a-z, 0-9, "
            "- _ and . and begins and ends with a letter or a digit"
        )
    if "\\" in folder or folder.startswith(("/", "gs:")) or "//" in folder:
        raise InvalidInputError(
            f"NYC_TAXI_GCS_FOLDER={folder!r} is no folder; write it as trips/2021"
        )
    return {"bucket": bucket, "bucket_folder": folder}


def service_account(value: str) -> dict[str, Any] | None:
    """The key, given as JSON or by its path; None stands for the machine's own credentials."""
    if not value.strip():
        return None
    text, shown = value, "the JSON in NYC_TAXI_GCP_CREDENTIALS"
    if not value.lstrip().startswith("{"):
        path = from_root(value)
        shown = f"NYC_TAXI_GCP_CREDENTIALS={value}"
        if not path.is_file():
            raise InvalidInputError(
                f"{shown} is not there; give the path of a service account's key"
            )
        text = path.read_text()
    try:
        key: dict[str, Any] = json.loads(text)
        Credentials.from_service_account_info(key)
    except (ValueError, TypeError, AttributeError, GoogleAuthError):
        # Neither this message nor its cause may hold a part of the key.
        raise InvalidInputError(
            f"{shown} is no service account's key; make one with: gcloud iam service-accounts "
            "keys create key.json --iam-account=NAME@PROJECT.iam.gserviceaccount.com"
        ) from None
    return key


def save(block: Block, name: str, what: str) -> None:
    """Save the block unless it is saved already with the same values, and say which it was."""
    try:
        old = cast(Block | None, type(block).load(name))
    except ValueError:
        old = None
    if old is not None and values(old) == values(block):
        outcome = "kept"
    else:
        block.save(name, overwrite=True)
        outcome = "changed" if old is not None else "made"
    print(f"{outcome:8} {block.get_block_type_slug()}/{name}: {what}")


def values(block: Block) -> dict[str, Any]:
    return block.model_dump(
        include=set(type(block).model_fields), context={"include_secrets": True}, mode="json"
    )


if __name__ == "__main__":
    script(make_gcp_blocks)
