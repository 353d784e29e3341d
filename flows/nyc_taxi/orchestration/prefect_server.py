"""The Prefect server that a script uses: the one at PREFECT_API_URL, or a temporary one."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import prefect
import socksio
from packaging.version import Version
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    temporary_settings,
)

from nyc_taxi.errors import InvalidInputError, ServerError
from nyc_taxi.network import Proxy, proxy_for
from nyc_taxi.urls import safe_url

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

RESPONSE_TIMEOUT = 10.0
"""Seconds to wait for the response to the first request."""
SOCKS_TIMEOUT = 5.0
"""Seconds for a SOCKS proxy to accept the connection and answer the greeting."""
PROCESS_POOL = "process-pool"
TEMPORARY_SERVER_HINT = "to use a temporary server, unset PREFECT_API_URL"


def use_server() -> None:
    """Check the server at PREFECT_API_URL, or start a temporary one."""
    if PREFECT_API_URL.value():
        check_server()
    else:
        temporary_server().start()


def temporary_server() -> SubprocessASGIServer:
    """Create the temporary server; Prefect starts it on the first request of a client."""
    # Imported lazily: it takes a second.
    from nyc_taxi.orchestration.temporary_server import TemporaryServer

    if not PREFECT_SERVER_EPHEMERAL_ENABLED.value():
        raise InvalidInputError(
            "there is no Prefect server: set PREFECT_API_URL, or "
            "PREFECT_SERVER_EPHEMERAL_ENABLED=true for a temporary one"
        )
    return TemporaryServer()


def check_server() -> str:
    """Return the address and version of the server at PREFECT_API_URL.

    Raises ServerError if it does not respond, denies access, or is not a compatible Prefect server.
    """
    if (proxy := _proxy()) and proxy.scheme.startswith("socks"):
        _check_socks(proxy)
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
            get_client(httpx_settings={"timeout": RESPONSE_TIMEOUT}, sync_client=True) as client,
        ):
            known = client.request("POST", "/flows/filter", json={"limit": 1}).json()
            if not isinstance(known, list):
                raise ValueError(f"{known!r:.80}")
            if client.server_type == ServerType.CLOUD:
                return f"{shown_url()} is Prefect Cloud"
            version = client.api_version()
            server, client_version = Version(version), Version(prefect.__version__)
    except (httpx.HTTPError, httpx.InvalidURL, socksio.ProtocolError, UnicodeError) as problem:
        raise ServerError(explain(problem)) from problem
    except (ValueError, TypeError) as problem:  # not JSON, or not from the Prefect API
        raise ServerError(
            f"{shown_url()} is not the API of a Prefect server (a web page or another program "
            f"responded); {_address_hint()}"
        ) from problem
    if server.major != client_version.major:
        raise ServerError(
            f"the Prefect server at {shown_url()} has version {version}, incompatible with "
            f"Prefect {prefect.__version__}; upgrade the server, or {TEMPORARY_SERVER_HINT}"
        )
    return f"{shown_url()} has version {version}"


def explain(problem: Exception) -> str:
    """Describe a failed request to the server in one line, with the fix."""
    url = shown_url() or "the temporary address"
    reason = " ".join(str(problem).split()) or type(problem).__name__
    if isinstance(problem, httpx.HTTPStatusError):
        status = problem.response.status_code
        if status in (401, 403):
            return (
                f"the Prefect server at {url} denies access (HTTP {status}); set PREFECT_API_KEY "
                "(Prefect Cloud) or PREFECT_API_AUTH_STRING (self-hosted server)"
            )
        if status in (404, 405) or status < 400:
            return (
                f"{url} is not the API of a server compatible with Prefect {prefect.__version__} "
                f"(HTTP {status} for {problem.request.url.path}); {_address_hint()}"
            )
        return (
            f"the Prefect server at {url} failed (HTTP {status} for {problem.request.url.path}); "
            "check its log, or, if a proxy sent the error, add the server's host to NO_PROXY"
        )
    if isinstance(problem, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"PREFECT_API_URL={url} is not a URL; write it as http://127.0.0.1:4200/api"
    if isinstance(
        problem, httpx.LocalProtocolError | UnicodeError
    ):  # its message may contain the value
        return (
            "PREFECT_API_KEY, PREFECT_API_AUTH_STRING or a header of "
            "PREFECT_CLIENT_CUSTOM_HEADERS has a character that HTTP does not allow, such as a "
            "line break; set it again"
        )
    if "CERTIFICATE_VERIFY_FAILED" not in reason and (proxy := _proxy()):
        return (
            f"the proxy {proxy} cannot reach the Prefect server at {url} ({reason}); correct "
            f"{proxy.variable}, or add the server's host to NO_PROXY"
        )
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return (
            f"the certificate of the Prefect server at {url} is not trusted ({reason}); set "
            "PREFECT_API_SSL_CERT_FILE or SSL_CERT_FILE to the certificate file of its CA"
        )
    if isinstance(problem, httpx.RemoteProtocolError | httpx.DecodingError):
        return f"{url} is not a Prefect server ({reason}); {_address_hint()}"
    return (
        f"the Prefect server at {url} does not respond ({reason}); start it, "
        f"correct PREFECT_API_URL, or, {TEMPORARY_SERVER_HINT}"
    )


def _proxy() -> Proxy | None:
    """Return the proxy for requests to the server, if any."""
    with suppress(InvalidInputError, httpx.InvalidURL):
        return proxy_for(httpx.URL(PREFECT_API_URL.value() or ""))
    return None


def _check_socks(proxy: Proxy) -> None:
    """Raise ServerError unless `proxy` speaks SOCKS 5: Prefect's client has no timeout for it."""
    url = httpx.URL(proxy.url)
    try:
        with socket.create_connection((url.host, url.port or 1080), SOCKS_TIMEOUT) as connection:
            connection.sendall(b"\x05\x01\x00")  # version 5, one method: no authentication
            if connection.recv(1) == b"\x05":
                return
        reason = "not a SOCKS 5 proxy"
    except OSError as problem:
        reason = str(problem)
    raise ServerError(
        f"the proxy {proxy} cannot reach the Prefect server at {shown_url()} ({reason}); correct "
        f"{proxy.variable}, or add the server's host to NO_PROXY"
    )


def shown_url() -> str:
    """PREFECT_API_URL without credentials."""
    return safe_url(PREFECT_API_URL.value() or "")


def _address_hint() -> str:
    url = shown_url().rstrip("/")
    parts = urlsplit(url)
    if parts.path.endswith("/api") or "/workspaces/" in parts.path:
        return f"correct PREFECT_API_URL, upgrade the server, or, {TEMPORARY_SERVER_HINT}"
    return f"set PREFECT_API_URL={parts.scheme}://{parts.netloc}/api"


def check_workers() -> str:
    """Return each work pool with the number of its online workers.

    Raises ServerError if process-pool has no online worker.
    """
    with get_client(sync_client=True) as client:
        workers = {
            pool.name: client.request(
                "POST",
                "/work_pools/{work_pool_name}/workers/filter",
                path_params={"work_pool_name": pool.name},
            ).json()
            for pool in client.read_work_pools()
        }
    online = {
        pool: sum(worker["status"] == "ONLINE" for worker in found)
        for pool, found in workers.items()
    }
    if online.get(PROCESS_POOL) == 0:
        raise ServerError(
            f"{PROCESS_POOL} has no online worker, so its runs stay pending; start one: "
            f"prefect worker start --pool {PROCESS_POOL}, or: make up-local"
        )
    return ", ".join(f"{name}: {n} online" for name, n in online.items()) or "no work pools"
