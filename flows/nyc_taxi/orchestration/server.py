"""The Prefect server that a script uses: the one at PREFECT_API_URL, or a temporary one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

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
from nyc_taxi.network import Proxy
from nyc_taxi.orchestration.server_errors import (
    TEMPORARY_SERVER_HINT,
    address_hint,
    explain,
    server_proxy,
    shown_url,
)

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

RESPONSE_TIMEOUT = 10.0
"""Seconds to wait for the response to the first request."""
SOCKS_TIMEOUT = 5.0
"""Seconds for a SOCKS proxy to accept the connection and answer the greeting."""
PROCESS_POOL = "process-pool"


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
    if (proxy := server_proxy()) and proxy.scheme.startswith("socks"):
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
            f"responded); {address_hint()}"
        ) from problem
    if server.major != client_version.major:
        raise ServerError(
            f"the Prefect server at {shown_url()} has version {version}, incompatible with "
            f"Prefect {prefect.__version__}; upgrade the server, or {TEMPORARY_SERVER_HINT}"
        )
    return f"{shown_url()} has version {version}"


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
