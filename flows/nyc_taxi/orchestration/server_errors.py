"""One-line explanations of failed requests to the Prefect server."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import prefect
from prefect.settings import PREFECT_API_URL

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.network import Proxy, proxy_for
from nyc_taxi.urls import safe_url

TEMPORARY_SERVER_HINT = "to use a temporary server, unset PREFECT_API_URL"


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
                f"(HTTP {status} for {problem.request.url.path}); {address_hint()}"
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
    if "CERTIFICATE_VERIFY_FAILED" not in reason and (proxy := server_proxy()):
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
        return f"{url} is not a Prefect server ({reason}); {address_hint()}"
    return (
        f"the Prefect server at {url} does not respond ({reason}); start it, "
        f"correct PREFECT_API_URL, or, {TEMPORARY_SERVER_HINT}"
    )


def server_proxy() -> Proxy | None:
    """Return the proxy for requests to the server, if any."""
    with suppress(InvalidInputError, httpx.InvalidURL):
        return proxy_for(httpx.URL(PREFECT_API_URL.value() or ""))
    return None


def shown_url() -> str:
    """PREFECT_API_URL without credentials."""
    return safe_url(PREFECT_API_URL.value() or "")


def address_hint() -> str:
    url = shown_url().rstrip("/")
    parts = urlsplit(url)
    if parts.path.endswith("/api") or "/workspaces/" in parts.path:
        return f"correct PREFECT_API_URL, upgrade the server, or, {TEMPORARY_SERVER_HINT}"
    return f"set PREFECT_API_URL={parts.scheme}://{parts.netloc}/api"
