"""A service account's key, and lake and warehouse on the emulators of GCS and BigQuery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from synthetic_tlc import Site


@pytest.fixture(scope="session")
def service_account_key() -> dict[str, str]:
    """Well-formed service account key that does not exist at Google."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "some-project",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "flows@some-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.fixture
def google_project(
    gcs_block: Callable[[], str], bigquery_block: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Set lake and warehouse to the emulators; returns the project."""
    monkeypatch.setenv("NYC_TAXI_LAKE", f"gcs:{gcs_block()}")
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", f"bigquery:{bigquery_block}")
    return bigquery_block


def publish(site: Site, raw: Path) -> None:
    (site.folder / raw.name).write_bytes(raw.read_bytes())
