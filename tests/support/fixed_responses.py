"""Servers that give every request the same response: any one, or an error of S3 or Google."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


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


def s3_error(code: str, message: str = "sorry") -> bytes:
    """The body of an error response of S3."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def google_error_server(status: int, reason: str, message: str) -> AbstractContextManager[str]:
    """Answer every request with this HTTP status and Google error; yields the URL."""
    error = {"code": status, "message": message, "errors": [{"reason": reason}]}
    body = json.dumps({"error": reason if reason == "invalid_grant" else error}).encode()
    return answering(status, body, kind="application/json")
