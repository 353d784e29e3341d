"""What went wrong with an HTTP request, as an error of ours (see the table in http_client.py)."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import socksio

from nyc_taxi.errors import NotPublishedError, SourceError, SourceRefusedError, TransientSourceError
from nyc_taxi.network import Proxy
from nyc_taxi.urls import safe_url


def explain(
    problem: Exception, url: str, hop: httpx.URL | None, proxy: Proxy | None
) -> SourceError:
    """The error for one of httpx: for `url`, in a request to `hop`, where it had redirected to."""
    name, host = safe_url(url), hop.host if hop else ""
    look, via = "NYC_TAXI_SOURCE_URL", ""
    if proxy:
        look, via = proxy.variable, f" through the proxy {proxy}"
    for cause in _causes(problem):
        if isinstance(cause, socket.gaierror):
            host = proxy.host if proxy else host
            if cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
                return SourceRefusedError(
                    f"there is no host {host!r}; check {look} and the network"
                )
            return TransientSourceError(
                f"cannot look up the host {host!r} ({cause.strerror}); rerun"
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SourceRefusedError(
                f"the certificate of {host}{via} is not trusted: "
                f"{cause.verify_message.rstrip('.')}; if your company or a private CA issued "
                "it, set SSL_CERT_FILE to a PEM file with the certificate of that CA"
            )
        if _is_final_tls(cause) and isinstance(problem, httpx.ConnectError):
            return SourceRefusedError(f"no TLS connection to {host}{via} ({cause}); check {look}")
    if isinstance(problem, httpx.ProxyError | socksio.ProtocolError) and proxy:
        return proxy.error(name, str(problem))
    if isinstance(problem, httpx.TimeoutException):
        return TransientSourceError(f"{name}{via} timed out; rerun to resume")
    if isinstance(problem, httpx.ConnectError):
        return TransientSourceError(
            f"cannot reach {name}{via} ({problem}); check {look} and the network"
        )
    if not isinstance(problem, httpx.TransportError) or "URL" in str(problem):
        return SourceRefusedError(f"{name} is, or redirects to, an invalid URL; check {look}")
    return TransientSourceError(f"the connection to {name}{via} broke ({problem}); rerun to resume")


def _is_final_tls(problem: BaseException) -> bool:
    return isinstance(problem, ssl.SSLError) and not isinstance(problem, ssl.SSLEOFError)


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def error_for_status(
    url: str, status: int, headers: Mapping[str, str], start: bytes, proxy: Proxy | None
) -> SourceError:
    """The error for a status; `start`: that of the body, which tells one 403 from another."""
    name = f"HTTP {status} for {safe_url(url)}"
    if status == 407 and proxy:
        return proxy.error(safe_url(url), "407 Proxy Authentication Required")
    if status in (408, 425, 429) or status >= 500:
        why = "is throttling us" if status == 429 else "has trouble"
        error = TransientSourceError(
            f"the source {why} ({name}); run this again later, or set NYC_TAXI_MONTHS_AT_ONCE=1"
        )
        error.retry_after = _retry_after(headers.get("Retry-After", ""))
        return error
    page = start[:4096].decode("utf-8", "replace")
    if "Request blocked" in page or "too much traffic" in page:
        error = TransientSourceError(
            f"the source is throttling us (HTTP 403, 'Request blocked', for {safe_url(url)}); "
            "wait some minutes and run this again, or set NYC_TAXI_MONTHS_AT_ONCE=1"
        )
        error.retry_after = _retry_after(headers.get("Retry-After", ""))
        return error
    missing = "AccessDenied" in page and "expired" not in page
    if status in (404, 410) or (status == 403 and (missing or not page)):
        gone = NotPublishedError(f"{safe_url(url)} answers {status}; check NYC_TAXI_SOURCE_URL")
        gone.status = status
        return gone
    return SourceRefusedError(
        f"the source refuses to serve {safe_url(url)} (HTTP {status}); check NYC_TAXI_SOURCE_URL, "
        "its credentials, and whether a proxy or a firewall stands between"
    )


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header, which is a number or a date; None without a valid one."""
    if value.strip().isdecimal():
        return float(value) or None
    try:
        until = parsedate_to_datetime(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
