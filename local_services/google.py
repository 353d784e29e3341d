"""GCS and BigQuery emulators, and the environment that points Google's clients to them."""

from __future__ import annotations

import sys
from pathlib import Path

from local_services.process import Service, free_port
from local_services.python313 import environment, home

PROJECT = "nyc-taxi"
BUCKET = "nyc-taxi"
CREDENTIALS = Path(__file__).with_name("credentials.json")
"""Fake credentials whose token never expires, so that no request leaves this machine."""


def gcs(folder: Path, port: int | None = None, bucket: str = BUCKET) -> Service:
    port = port or free_port()
    program = Path(sys.executable).with_name("gcp-storage-emulator")
    start = ("start", "-H", "127.0.0.1", "--port", str(port), "--default-bucket", bucket, "-q")
    return Service("gcs", folder, (str(program), "-d", str(folder / "gcs"), *start), port)


def bigquery(folder: Path, port: int | None = None) -> Service:
    """BigQuery emulator; reads `gs://` from the data of `gcs` in the same folder.

    Raises Python313NotFoundError.
    """
    port = port or free_port()
    program = environment() / "local-bigquery"
    start = ("--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(free_port()))
    return Service(
        "bigquery",
        folder,
        (str(program), *start, "--data-dir", str(folder / "bigquery"), "--project", PROJECT),
        port,
        path="/discovery/v1/apis/bigquery/v2/rest",
        env={**home(), "GCS_LOCAL_ROOT": str(folder / "gcs" / ".cloudstorage")},
    )


def client_environment(storage: Service, warehouse: Service | None) -> dict[str, str]:
    """Return the environment variables that point Google's clients to the emulators."""
    found = {
        "STORAGE_EMULATOR_HOST": storage.url,
        "GOOGLE_APPLICATION_CREDENTIALS": str(CREDENTIALS),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
    }
    return {**found, "BIGQUERY_EMULATOR_HOST": warehouse.url} if warehouse else found
