"""Work pools: settings of those in a cloud, the scripts that save them, and what is saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.fields import SecretDict
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import WorkPool
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, temporary_settings
from prefect_gcp import GcpCredentials

API = "https://prefect.example.com/api"
IMAGE = "ghcr.io/you/nyc-taxi@sha256:" + "0" * 64
ACCOUNT = "123456789012"
ECS = {
    "NYC_TAXI_IMAGE": IMAGE,
    "AWS_DEFAULT_REGION": "eu-west-1",
    "NYC_TAXI_ECS_CLUSTER": "taxis",
    "NYC_TAXI_ECS_EXECUTION_ROLE": f"arn:aws:iam::{ACCOUNT}:role/nyc-taxi-execution",
    "CLOUD_PREFECT_API_URL": API,
    "NYC_TAXI_LAKE": "gcs:zoom-gcs",
}
CLOUD_RUN = {
    "NYC_TAXI_IMAGE": IMAGE,
    "NYC_TAXI_CLOUD_RUN_REGION": "europe-west1",
    "NYC_TAXI_CLOUD_RUN_SERVICE_ACCOUNT": "nyc-taxi@p.iam.gserviceaccount.com",
    "CLOUD_PREFECT_API_URL": API,
    "NYC_TAXI_LAKE": "gcs:zoom-gcs",
}
SavePool = Callable[..., str]
KEY = {
    "type": "service_account",
    "project_id": "nyc-taxi",
    "client_email": "flows@nyc-taxi.iam.gserviceaccount.com",
    "private_key": "in_clear",
    "token_uri": "https://oauth2.googleapis.com/token",
}


@pytest.fixture
def save_pool(
    prefect_server: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> SavePool:
    """Run a script of blocks/ with these settings alone, and return what it prints."""
    monkeypatch.setattr("nyc_taxi.environment.ROOT", tmp_path)  # no .env
    for name in os.environ:
        if name.startswith(("AWS_", "NYC_TAXI_ECS_", "NYC_TAXI_CLOUD_RUN_")):
            monkeypatch.delenv(name)
    for name in ("PREFECT_API_KEY", "NYC_TAXI_IMAGE", "NYC_TAXI_ENV", "CLOUD_PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(main: Callable[[], None], **env: str) -> str:
        with monkeypatch.context() as given:
            for name, value in env.items():
                given.setenv(name, value)
            settings = (PREFECT_API_KEY, PREFECT_API_AUTH_STRING)
            with temporary_settings({s: env[s.name] for s in settings if s.name in env}):
                main()
        return capsys.readouterr().out

    return run


@pytest.fixture(params=["its own key", "no key"])
def google_credentials(
    request: pytest.FixtureRequest, gcs_block: object
) -> Iterator[dict[str, Any]]:
    """The block that blocks/make_gcp_blocks.py saves; returns the pool's reference to it."""
    block = GcpCredentials(project="nyc-taxi")
    if request.param == "its own key":
        block.service_account_info = SecretDict(KEY)
    saved = block.save("zoom-gcp-creds", overwrite=True)
    project = {"project": "nyc-taxi"}
    yield {"$ref": {"block_document_id": str(saved)}} if block.service_account_info else project
    GcpCredentials.delete("zoom-gcp-creds")


def pool(name: str) -> WorkPool:
    with get_client(sync_client=True) as client:
        return client.read_work_pool(name)


def defaults(name: str) -> dict[str, Any]:
    variables = pool(name).base_job_template["variables"]["properties"]
    return {setting: facts.get("default") for setting, facts in variables.items()}
