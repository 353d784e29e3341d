"""The Prefect server of a script: that of PREFECT_API_URL, checked, or a temporary one."""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import httpx
import prefect
from packaging.version import Version
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.logging import get_logger
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
    temporary_settings,
)

from nyc_taxi.errors import BadInput, CannotWrite, NycTaxiError

ANSWER = 10.0
"""Seconds for the server to answer the first request."""
ENOUGH = 2**20
"""Bytes that a new database of Prefect's takes."""
TEMPORARY = "to use a temporary server, unset PREFECT_API_URL"

_SERVE = """
import os, signal, sys, threading, uvicorn

def end_with_parent():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_parent, daemon=True).start()
uvicorn.run(
    "prefect.server.api.server:create_app",
    factory=True, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", lifespan="on",
)
"""


class ServerError(NycTaxiError):
    """The Prefect server cannot be used."""


@contextmanager
def connected() -> Iterator[None]:
    """Make sure that the block has a Prefect server."""
    if PREFECT_API_URL.value():
        check_server()
    elif not PREFECT_SERVER_EPHEMERAL_ENABLED.value():
        raise BadInput(
            "there is no Prefect server: set PREFECT_API_URL, or "
            "PREFECT_SERVER_EPHEMERAL_ENABLED=true for a temporary one"
        )
    else:
        check_home()
        TemporaryServer().start()
    yield


def check_server() -> str:
    """Return the address and the version of the server at PREFECT_API_URL.

    Raises ServerError if it does not answer, refuses this user, or is not a Prefect server that
    fits this Prefect.
    """
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
            get_client(httpx_settings={"timeout": ANSWER}, sync_client=True) as client,
        ):
            known = client.request("POST", "/flows/filter", json={"limit": 1}).json()
            if not isinstance(known, list):
                raise ValueError(f"{known!r:.80}")
            if client.server_type == ServerType.CLOUD:
                return f"{shown_url()} is Prefect Cloud"
            version = client.api_version()
            theirs, ours = Version(version), Version(prefect.__version__)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise ServerError(explain(problem)) from problem
    except (ValueError, TypeError) as problem:  # not JSON, or not that of the API
        raise ServerError(
            f"{shown_url()} is not the API of a Prefect server (a web page, or another program, "
            f"answers); {_fix_address()}"
        ) from problem
    if theirs.major != ours.major:
        raise ServerError(
            f"the Prefect server at {shown_url()} has version {version}, which Prefect "
            f"{prefect.__version__} cannot use; upgrade the server, or {TEMPORARY}"
        )
    return f"{shown_url()} has version {version}"


def explain(problem: Exception) -> str:
    """Say in one line what is wrong with the server that a request to it failed with `problem`."""
    url = shown_url() or "the temporary address"
    said = " ".join(str(problem).split()) or type(problem).__name__
    if isinstance(problem, httpx.HTTPStatusError):
        status = problem.response.status_code
        if status in (401, 403):
            return (
                f"the Prefect server at {url} refuses access (HTTP {status}); set PREFECT_API_KEY "
                "(Prefect Cloud), or PREFECT_API_AUTH_STRING (your own server)"
            )
        if status in (404, 405) or status < 400:
            return (
                f"{url} is not the API of a Prefect server that fits Prefect {prefect.__version__} "
                f"(HTTP {status} for {problem.request.url.path}); {_fix_address()}"
            )
        return (
            f"the Prefect server at {url} cannot answer (HTTP {status} for "
            f"{problem.request.url.path}); look at its log, then run this again"
        )
    if isinstance(problem, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"PREFECT_API_URL={url} is not a URL; write it as http://127.0.0.1:4200/api"
    if isinstance(problem, httpx.ProxyError):
        return (
            f"the proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY does not reach the Prefect server "
            f"at {url} ({said}); correct it, or add the server's host to NO_PROXY"
        )
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            f"the certificate of the Prefect server at {url} is not trusted ({said}); set "
            "PREFECT_API_SSL_CERT_FILE or SSL_CERT_FILE to the file of the authority that signed it"
        )
    if isinstance(problem, httpx.RemoteProtocolError | httpx.DecodingError):
        return f"{url} is not a Prefect server ({said}); {_fix_address()}"
    return (
        f"the Prefect server at {url} does not answer ({said}); start it, correct PREFECT_API_URL, "
        f"or, {TEMPORARY}"
    )


def shown_url() -> str:
    """PREFECT_API_URL without a password."""
    return re.sub("//[^/@]*@", "//", PREFECT_API_URL.value() or "")


def _fix_address() -> str:
    url = shown_url().rstrip("/")
    parts = urlsplit(url)
    if parts.path.endswith("/api") or "/workspaces/" in parts.path:
        return f"correct PREFECT_API_URL, upgrade the server, or, {TEMPORARY}"
    return f"set PREFECT_API_URL={parts.scheme}://{parts.netloc}/api"


def check_home() -> None:
    """Raise CannotWrite unless the folder of the temporary server's database can be written."""
    home = Path(PREFECT_HOME.value())
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(bytes(ENOUGH))
    except OSError as problem:
        raise CannotWrite(
            f"{home} cannot be written ({problem.strerror}); make room or allow it there, or set "
            "PREFECT_HOME to another folder"
        ) from problem


class TemporaryServer(SubprocessASGIServer):
    """Prefect's temporary server, which Prefect's clients find as the instance of its class.

    It is in a session of its own, so that Ctrl-C and a signal to the process group do not reach it
    before its client has reported how the run ended, and ends when this process does.
    """

    def start(self, timeout: int | None = None) -> None:
        if self.running:
            return
        seconds = timeout or PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        deadline = monotonic() + seconds
        self.running = True
        atexit.register(self.stop)
        with tempfile.TemporaryFile() as log:
            try:
                self._start(log)
                while not self._answers():
                    assert self.server_process
                    if self.server_process.poll() is not None:
                        if b"address already in use" not in _content(log):
                            raise ServerError(f"Prefect's temporary server ended: {_last(log)}")
                        self._start(log)
                    elif monotonic() > deadline:
                        raise ServerError(
                            f"Prefect's temporary server did not start in {seconds} s; give it "
                            "more with PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
                        )
                    sleep(0.1)
            except BaseException:
                self.stop()
                raise

    def _start(self, log: Any) -> None:
        self.stop_process()
        self.port = self.find_available_port()
        get_logger().info("Starting temporary server on %s", self.address)
        self.server_process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(self.port)],
            env={
                **os.environ,
                "PREFECT_UI_ENABLED": "0",
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
                **get_current_settings().to_environment_variables(exclude_unset=True),
            },
            stdin=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop_process(self) -> None:
        process, self.server_process = self.server_process, None
        if process:
            assert process.stdin
            process.stdin.close()
            process.terminate()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop(self) -> None:
        self.stop_process()
        self.running = False
        self._instances.pop(None, None)


def _content(log: Any) -> bytes:
    log.seek(0)
    return bytes(log.read())


def _last(log: Any) -> str:
    lines = _content(log).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
