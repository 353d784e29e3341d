"""Save the blocks for Google Cloud: GcpCredentials `zoom-gcp-creds` and GcsBucket `zoom-gcs`.

Settings are read from the environment or `.env`: NYC_TAXI_GCP_CREDENTIALS (path of a service
account key, or its JSON, as it is or in Base64; empty for this machine's default credentials),
NYC_TAXI_GCP_PROJECT, NYC_TAXI_GCS_BUCKET and NYC_TAXI_GCS_FOLDER. Rerun it after a change;
otherwise a rerun changes nothing.
"""

from __future__ import annotations

import base64
import json
from typing import Any, cast

from nyc_taxi.cli import script

from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials
from prefect.blocks.core import Block
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import from_root, settings
from nyc_taxi.storage.bucket_names import GCS

CREDENTIALS, BUCKET = "zoom-gcp-creds", "zoom-gcs"


def make_gcp_blocks() -> None:
    config = settings()
    bucket, folder = GCS.bucket(config.gcs_bucket), GCS.folder(config.gcs_folder)
    key = service_account(config.gcp_credentials.get_secret_value())
    try:
        credentials = GcpCredentials(service_account_info=key, project=config.gcp_project or None)
    except GoogleAuthError as problem:
        raise InvalidInputError(
            "this machine has no default credentials; set NYC_TAXI_GCP_CREDENTIALS to a service "
            "account key, or run: gcloud auth application-default login"
        ) from problem
    for kind in (GcpCredentials, GcsBucket):
        kind.register_type_and_schema()
    source = f"key of {key['client_email']}" if key else "this machine's default credentials"
    save(credentials, CREDENTIALS, f"{source}, project {credentials.project}")
    saved = GcpCredentials.load(CREDENTIALS)
    block = GcsBucket(gcp_credentials=saved, bucket=bucket, bucket_folder=folder)
    save(block, BUCKET, f"gs://{block.bucket}/{block.bucket_folder}")


def service_account(value: str) -> dict[str, Any] | None:
    """Read the key from JSON, Base64 or a path; None for this machine's default credentials."""
    if not value.strip():
        return None
    text, origin = _decoded(value.strip()), "the JSON in NYC_TAXI_GCP_CREDENTIALS"
    if not text.startswith("{"):
        text, origin = _read_key_file(text), f"NYC_TAXI_GCP_CREDENTIALS={text}"
    try:
        key: dict[str, Any] = json.loads(text, strict=False)  # in .env a key may have real newlines
        Credentials.from_service_account_info(key)
    except (ValueError, TypeError, AttributeError, GoogleAuthError):
        # Neither this message nor its cause may contain a part of the key.
        raise InvalidInputError(
            f"{origin} is not a service account key; create one: gcloud iam service-accounts "
            "keys create key.json --iam-account=NAME@PROJECT.iam.gserviceaccount.com"
        ) from None
    return key


def _decoded(value: str) -> str:
    """Decode Base64, in which continuous integration often stores a key."""
    try:
        text = base64.b64decode("".join(value.split()), validate=True).decode().strip()
    except ValueError:
        return value
    return text if text.startswith("{") else value


def _read_key_file(path: str) -> str:
    try:
        return from_root(path).read_text("utf-8-sig")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        shown = path if len(path) < 256 else "..."  # a longer value may be a damaged key
        raise InvalidInputError(
            f"NYC_TAXI_GCP_CREDENTIALS={shown} cannot be read ({reason}); set it to the path of a "
            "service account key, or to its JSON, as it is or in Base64"
        ) from None


def save(block: Block, name: str, summary: str) -> None:
    """Save the block if it is new or its values changed, and print which of them it was."""
    try:
        old = cast(Block | None, type(block).load(name))
    except ValueError:
        old = None
    if old is not None and field_values(old) == field_values(block):
        outcome = "unchanged"
    else:
        block.save(name, overwrite=True)
        outcome = "updated" if old is not None else "created"
    print(f"{outcome:9} {block.get_block_type_slug()}/{name}: {summary}")


def field_values(block: Block) -> dict[str, Any]:
    return block.model_dump(
        include=set(type(block).model_fields), context={"include_secrets": True}, mode="json"
    )


if __name__ == "__main__":
    script(make_gcp_blocks)
