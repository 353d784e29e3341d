"""Save the work pool `cloud-run-pool`, which runs each flow run as a Google Cloud Run job.

Settings are read from the environment, `.env.<name>` with NYC_TAXI_ENV=<name>, or `.env`:

    NYC_TAXI_IMAGE, NYC_TAXI_CLOUD_RUN_REGION, NYC_TAXI_CLOUD_RUN_SERVICE_ACCOUNT
    NYC_TAXI_CLOUD_RUN_CPU, NYC_TAXI_CLOUD_RUN_MEMORY, NYC_TAXI_CLOUD_RUN_TIMEOUT
    NYC_TAXI_CLOUD_RUN_API_KEY_SECRET, NYC_TAXI_CLOUD_RUN_SECRETS, CLOUD_PREFECT_API_URL

.env.example describes each of them. Project and credentials come from the block
`gcp-credentials/zoom-gcp-creds`, which blocks/make_gcp_blocks.py saves.
"""

import os
from typing import Any

from nyc_taxi.cli import script

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.orchestration.work_pools import (
    JOB_COMMAND,
    api_for_jobs,
    api_key_secret,
    block_reference,
    flow_settings,
    integer_setting,
    required_setting,
    save_pool,
    secret_references,
)

POOL = "cloud-run-pool"
CREDENTIALS = "zoom-gcp-creds"


def credentials() -> tuple[str, dict[str, Any]]:
    """Return the project and the job variable `credentials`, which never contains a key."""
    fix = "run: python blocks/make_gcp_blocks.py"
    try:
        with get_client(sync_client=True) as client:
            block = client.read_block_document_by_name(CREDENTIALS, "gcp-credentials")
    except ObjectNotFound:
        raise InvalidInputError(
            f"the block gcp-credentials/{CREDENTIALS} does not exist; {fix}"
        ) from None
    fields = {name: value for name, value in block.data.items() if value is not None}
    if "project" not in fields:
        raise InvalidInputError(
            f"the block gcp-credentials/{CREDENTIALS} has no project; "
            f"set NYC_TAXI_GCP_PROJECT and {fix}"
        )
    # Prefect's server rejects a pool that refers to credentials without a key.
    has_key = "service_account_info" in fields
    return fields["project"], block_reference(block.id) if has_key else fields


def main() -> None:
    image = required_setting("NYC_TAXI_IMAGE")
    region = required_setting("NYC_TAXI_CLOUD_RUN_REGION")
    secret = api_key_secret("NYC_TAXI_CLOUD_RUN_API_KEY_SECRET", "prefect-api-key")
    secrets = {
        name: {"secret": secret, "version": "latest"}
        for name, secret in secret_references(
            "NYC_TAXI_CLOUD_RUN_SECRETS", "NYC_TAXI_HASH_KEY=nyc-taxi-hash-key"
        ).items()
    }
    jobs: dict[str, Any] = {
        "image": image,
        "command": JOB_COMMAND,
        "region": region,
        "service_account_name": required_setting("NYC_TAXI_CLOUD_RUN_SERVICE_ACCOUNT"),
        "cpu": os.environ.get("NYC_TAXI_CLOUD_RUN_CPU") or "1000m",
        "memory": os.environ.get("NYC_TAXI_CLOUD_RUN_MEMORY") or "4Gi",
        "timeout": integer_setting("NYC_TAXI_CLOUD_RUN_TIMEOUT", 3600),
        "prefect_api_key_secret": {"secret": secret, "version": "latest"} if secret else None,
        "prefect_api_auth_string_secret": secrets.pop("PREFECT_API_AUTH_STRING", None),
        "env_from_secrets": secrets or None,
        "env": {"PREFECT_API_URL": api_for_jobs(), **flow_settings()},
    }
    project, block = credentials()
    save_pool(POOL, "cloud-run-v2", **jobs, credentials=block)
    print(f"work pool {POOL}: jobs of {image} in the project {project}, {region}")


if __name__ == "__main__":
    script(main)
