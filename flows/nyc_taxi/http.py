"""The one HTTP client: months, small files, the doctor and later sources use it.

Timeout: `timeout` seconds to connect, to send, and for each read; there is no limit for the whole.
Redirects are followed; credentials go to no other host than the one they are for.
A signal or a stopped run ends a request within seconds (see stopping.py).

    raised          status                                  otherwise
    NotPublished    404, 410, an empty 403, S3's 403
    Interrupted     408, 425, 429, 5xx, a throttling 403    temporary DNS failure, timeout,
                                                            connection refused or broken
    Refused         every other one                         unknown host, untrusted certificate,
                                                            proxy that wants other credentials
    BadInput                                                unusable proxy or CA bundle

Retries: with `Retry-After`, one after that time; every other retry of an Interrupted is the
caller's (Prefect's task). No message holds credentials, a query or where a redirect leads.

Environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY (never for this machine's own servers);
SSL_CERT_FILE and SSL_CERT_DIR, else REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, else certifi's CAs.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

import httpx
import socksio
from prefect.logging import get_logger

from nyc_taxi.errors import Interrupted, NotPublished, NycTaxiError, Refused, SourceError
from nyc_taxi.network import Proxy, proxy_for, trusted_authorities
from nyc_taxi.settings import settings
from nyc_taxi.sources import safe_url
from nyc_taxi.stopping import Stopped, check_stopped, interruptible

T = TypeVar("T")
MAX_REDIRECTS = 20
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "nyc-taxi (Prefect flows)"}


@dataclass
class Reply:
    status: int
    headers: httpx.Headers
    chunks: Iterator[bytes]
    """The body as sent, whatever its Content-Encoding; raises Stopped once the run is stopped."""


def get(
    url: str,
    receive: Callable[[Reply], T],
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
    accept: tuple[int, ...] = (200,),
    wait: float | None = None,
) -> T:
    """Return what `receive` makes of the reply; it runs in a thread of its own.

    `accept`: the statuses that are no errors. `wait`: the longest Retry-After in seconds that is
    waited for (default: NYC_TAXI_WAIT).
    """
    limit = settings().wait if wait is None else wait
    request = _Request(url, receive, HEADERS | dict(headers or {}), timeout, accept)
    try:
        return request.send()
    except Interrupted as problem:
        delay = problem.retry_after
        if delay is None:
            raise
    if delay > limit:
        raise Refused(
            f"{safe_url(url)} asks to wait {delay:,.0f} s (Retry-After), longer than "
            f"NYC_TAXI_WAIT={limit:g}; run this again then"
        )
    get_logger("nyc_taxi").warning("%s asks to wait %.0f s (Retry-After)", safe_url(url), delay)
    _sleep(delay)
    return request.send()


def _sleep(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check_stopped()
        time.sleep(min(left, 0.2))


@dataclass
class _Connections:
    """The sockets of one request, to be shut down from another thread."""

    sockets: list[socket.socket] = field(default_factory=list)
    streams: list[Any] = field(default_factory=list)
    stopped: bool = False

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            stream = info["return_value"]
            # A duplicate: the original becomes part of a TLS socket, in its handshake out of reach.
            self.sockets.append(stream.get_extra_info("socket").dup())
            self.streams.append(stream)
            if self.stopped:
                self.shut()

    def shut(self) -> None:
        self.stopped = True
        for connection in self.sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        if self.stopped:
            raise Stopped
        check_stopped()

    def close(self) -> None:
        for connection in (*self.sockets, *self.streams):  # httpcore leaves some of SOCKS open
            connection.close()


@dataclass
class _Request(Generic[T]):
    url: str
    receive: Callable[[Reply], T]
    headers: Mapping[str, str]
    timeout: float
    accept: tuple[int, ...]

    def send(self) -> T:
        connections = _Connections()
        try:
            return interruptible(lambda: self._attempt(connections), connections.shut)
        finally:
            connections.close()

    def _attempt(self, connections: _Connections) -> T:
        """Raise nothing of httpx: its errors hold URLs, also as the cause of another error."""
        self.hop: httpx.URL | None = None
        self.proxy: Proxy | None = None
        try:
            return self._follow(connections)
        except (httpx.HTTPError, httpx.InvalidURL, socksio.ProtocolError, UnicodeError) as problem:
            connections.check()
            error = self._explain(problem)
        raise error

    def _follow(self, connections: _Connections) -> T:
        url = httpx.URL(self.url)
        login = (url.username, url.password) if url.userinfo else None
        url = url.copy_with(userinfo=b"", fragment=None)
        limits = httpx.Timeout(self.timeout).as_dict()
        extensions = {"trace": connections.trace, "timeout": limits}
        request = httpx.Request("GET", url, headers=self.headers, extensions=extensions)
        for _ in range(MAX_REDIRECTS + 1):
            self.hop, self.proxy = request.url, proxy_for(request.url)
            with self._client() as client:
                response = client.send(request, stream=True, auth=login)
                try:
                    connections.check()
                    if response.next_request is None:
                        return self._read(response, connections)
                    request, login = response.next_request, None
                finally:
                    response.close()
        raise Refused(f"{safe_url(self.url)} redirects more than {MAX_REDIRECTS} times")

    def _client(self) -> httpx.Client:
        assert self.hop
        secure = "https" in (self.hop.scheme, self.proxy and self.proxy.scheme)
        # Reading certifi's CAs takes longer than a request.
        tls = trusted_authorities() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        proxy = self.proxy.for_httpx(tls) if self.proxy else None
        return httpx.Client(trust_env=False, verify=tls, proxy=proxy)

    def _read(self, response: httpx.Response, connections: _Connections) -> T:
        def chunks() -> Iterator[bytes]:
            for chunk in response.iter_raw():  # no size: what is gathered is lost when it breaks
                connections.check()
                yield chunk
            connections.check()  # the end may be that of the connection, shut down by us

        reply = Reply(response.status_code, response.headers, chunks())
        if reply.status in self.accept:
            return self.receive(reply)
        raise _error_for_status(self.url, reply, self.proxy)

    def _explain(self, problem: Exception) -> NycTaxiError:
        """The error of ours for one of httpx."""
        name, host = safe_url(self.url), self.hop.host if self.hop else ""
        look, via = "NYC_TAXI_SOURCE_URL", ""
        if self.proxy:
            look, via = self.proxy.variable, f" through the proxy {self.proxy}"
        for cause in _causes(problem):
            if isinstance(cause, socket.gaierror):
                host = self.proxy.host if self.proxy else host
                if cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
                    return Refused(f"there is no host {host!r}; check {look} and the network")
                return Interrupted(f"cannot look up the host {host!r} ({cause.strerror}); rerun")
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Refused(
                    f"the certificate of {host}{via} is not trusted: "
                    f"{cause.verify_message.rstrip('.')}; if your company or a private CA issued "
                    "it, set SSL_CERT_FILE to a PEM file with the certificate of that CA"
                )
            if _is_final_tls(cause) and isinstance(problem, httpx.ConnectError):
                return Refused(f"no TLS connection to {host}{via} ({cause}); check {look}")
        if isinstance(problem, httpx.ProxyError | socksio.ProtocolError) and self.proxy:
            return self.proxy.error(name, str(problem))
        if isinstance(problem, httpx.TimeoutException):
            return Interrupted(f"{name}{via} timed out; rerun to resume")
        if isinstance(problem, httpx.ConnectError):
            return Interrupted(
                f"cannot reach {name}{via} ({problem}); check {look} and the network"
            )
        if not isinstance(problem, httpx.TransportError) or "URL" in str(problem):
            return Refused(f"{name} is, or redirects to, an invalid URL; check {look}")
        return Interrupted(f"the connection to {name}{via} broke ({problem}); rerun to resume")


def _is_final_tls(problem: BaseException) -> bool:
    return isinstance(problem, ssl.SSLError) and not isinstance(problem, ssl.SSLEOFError)


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _error_for_status(url: str, reply: Reply, proxy: Proxy | None) -> SourceError:
    """The status classes of this module's docstring."""
    status, name = reply.status, f"HTTP {reply.status} for {safe_url(url)}"
    if status == 407 and proxy:
        return proxy.error(safe_url(url), "407 Proxy Authentication Required")
    if status in (408, 425, 429) or status >= 500:
        why = "is throttling us" if status == 429 else "has trouble"
        error = Interrupted(
            f"the source {why} ({name}); run this again later, or set NYC_TAXI_MONTHS_AT_ONCE=1"
        )
        error.retry_after = _retry_after(reply.headers.get("Retry-After", ""))
        return error
    page = next(reply.chunks, b"")[:4096].decode("utf-8", "replace") if status == 403 else ""
    if "Request blocked" in page or "too much traffic" in page:
        error = Interrupted(
            f"the source is throttling us (HTTP 403, 'Request blocked', for {safe_url(url)}); "
            "wait some minutes and run this again, or set NYC_TAXI_MONTHS_AT_ONCE=1"
        )
        error.retry_after = _retry_after(reply.headers.get("Retry-After", ""))
        return error
    missing = "AccessDenied" in page and "expired" not in page
    if status in (404, 410) or (status == 403 and (missing or not page)):
        gone = NotPublished(f"{safe_url(url)} answers {status}; check NYC_TAXI_SOURCE_URL")
        gone.status = status
        return gone
    return Refused(
        f"the source refuses to serve {safe_url(url)} (HTTP {status}); check NYC_TAXI_SOURCE_URL, "
        "its credentials, and whether a proxy or a firewall stands between"
    )


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header, which is a number or a date; None without a valid one."""
    if value.strip().isdecimal():
        return float(value) or None
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else None


class _Redact(logging.Filter):
    """httpx logs each URL, httpcore each Location header."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = re.sub(r"(://)[^/\s'\"]*@", r"\1", record.getMessage())
        record.msg, record.args = re.sub(r"[?][^\s'\"]*", "", text), ()
        return True


for _name in ("httpx", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_Redact())
