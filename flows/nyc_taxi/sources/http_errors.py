"""Mapping of HTTP failures to exceptions (see the table in http_client.py)."""

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


def error_for_exception(
    problem: Exception, url: str, hop: httpx.URL | None, proxy: Proxy | None, setting: str
) -> SourceError:
    """Return the error for an exception of httpx; `hop` is the last redirect target of `url`."""
    name, host = safe_url(url), hop.host if hop else ""
    via = ""
    if proxy:
        setting, via = proxy.variable, f" through the proxy {proxy}"
    for cause in _causes(problem):
        if isinstance(cause, socket.gaierror):
            host = proxy.host if proxy else host
            if cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
                return SourceRefusedError(
                    f"the host {host!r} does not exist; check {setting} and the network"
                )
            return TransientSourceError(
                f"cannot resolve the host {host!r} ({cause.strerror}); rerun"
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SourceRefusedError(
                f"the certificate of {host}{via} is not trusted: "
                f"{cause.verify_message.rstrip('.')}; if a private CA issued it, set "
                "SSL_CERT_FILE to a PEM file with the certificate of that CA"
            )
        if _is_permanent_tls_error(cause) and isinstance(problem, httpx.ConnectError):
            return SourceRefusedError(f"TLS to {host}{via} failed ({cause}); check {setting}")
    if isinstance(problem, httpx.ProxyError | socksio.ProtocolError) and proxy:
        return proxy.error(name, str(problem))
    if isinstance(problem, httpx.TimeoutException):
        return TransientSourceError(f"{name}{via} timed out; rerun to resume")
    if isinstance(problem, httpx.ConnectError):
        return TransientSourceError(
            f"cannot reach {name}{via} ({problem}); check {setting} and the network"
        )
    if not isinstance(problem, httpx.TransportError) or "URL" in str(problem):
        return SourceRefusedError(f"{name} is, or redirects to, an invalid URL; check {setting}")
    return TransientSourceError(
        f"the connection to {name}{via} was cut off ({problem}); rerun to resume"
    )


def _is_permanent_tls_error(problem: BaseException) -> bool:
    return isinstance(problem, ssl.SSLError) and not isinstance(problem, ssl.SSLEOFError)


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def error_for_status(
    url: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    proxy: Proxy | None,
    setting: str,
) -> SourceError:
    """Map an HTTP error status to an exception.

    `body`: its first bytes, which distinguish throttling, a missing file and a refusal in a 403.
    `setting`: the environment variable of the URL, for messages.
    """
    if status == 407 and proxy:
        return proxy.error(safe_url(url), "407 Proxy Authentication Required")
    name = f"HTTP {status} for {safe_url(url)}"
    text = body[:4096].decode("utf-8", "replace")
    blocked = "Request blocked" in text or "too much traffic" in text
    if blocked or status in (408, 425, 429) or status >= 500:
        reason = "throttles requests" if blocked or status == 429 else "is temporarily unavailable"
        transient = TransientSourceError(
            f"the source {reason} ({name}); rerun in a few minutes, or set "
            "NYC_TAXI_MONTHS_AT_ONCE=1"
        )
        transient.retry_after = retry_after(headers.get("Retry-After", ""))
        return transient
    denied = not text or ("AccessDenied" in text and "expired" not in text)
    if status in (404, 410) or (status == 403 and denied):
        missing = NotPublishedError(
            f"{safe_url(url)} does not exist (HTTP {status}); check {setting}"
        )
        missing.status = status
        return missing
    return SourceRefusedError(
        f"the source refuses to serve {safe_url(url)} (HTTP {status}); check {setting}, "
        "its credentials, and any proxy or firewall in between"
    )


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date); None if invalid or past."""
    if value.strip().isdecimal():
        return float(value) or None
    try:
        until = parsedate_to_datetime(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
