"""The one HTTP client: months, small files, the doctor and later sources use it.

Timeout: `timeout` seconds to connect, to send, and for each read; there is no limit for the whole.
Redirects are followed; credentials go to no other host than the one they are for.
A signal or a stopped run ends a request within seconds (see stopping.py).

    raised          status                                  otherwise
    NotPublishedError    404, 410, an empty 403, S3's 403
    Interrupted     408, 425, 429, 5xx, a throttling 403    temporary DNS failure, timeout,
                                                            connection refused or broken
    Refused         every other one                         unknown host, untrusted certificate,
                                                            proxy that wants other credentials
    InvalidInputError                                                unusable proxy or CA bundle

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
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx
import socksio
from prefect.logging import get_logger

from nyc_taxi.cancellation import Stopped, check_stopped, interruptible, interruptible_sleep
from nyc_taxi.errors import SourceRefusedError, TransientSourceError
from nyc_taxi.network import Proxy, create_tls_context, proxy_for
from nyc_taxi.settings import settings
from nyc_taxi.sources.http_errors import error_for_status, explain
from nyc_taxi.urls import safe_url

T = TypeVar("T")
MAX_REDIRECTS = 20
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "nyc-taxi (Prefect flows)"}


@dataclass
class Reply:
    status: int
    headers: httpx.Headers
    chunks: Iterator[bytes]
    """The body as sent, whatever its Content-Encoding."""


def get(
    url: str,
    receive: Callable[[Reply], T],
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
    accept: tuple[int, ...] = (200,),
    wait: float | None = None,
) -> T:
    """Return what `receive` makes of the reply; it runs in a separate thread.

    `accept`: the statuses that are not errors. `wait`: the longest Retry-After to honor, in
    seconds (default: NYC_TAXI_WAIT).
    """
    limit = settings().wait if wait is None else wait
    request = _Request(url, receive, HEADERS | dict(headers or {}), timeout, accept)
    try:
        return request.send()
    except TransientSourceError as problem:
        delay = problem.retry_after
        if delay is None:
            raise
    if delay > limit:
        raise SourceRefusedError(
            f"{safe_url(url)} asks to wait {delay:,.0f} s (Retry-After), longer than "
            f"NYC_TAXI_WAIT={limit:g}; run this again then"
        )
    get_logger("nyc_taxi").warning("%s asks to wait %.0f s (Retry-After)", safe_url(url), delay)
    interruptible_sleep(delay)
    return request.send()


@dataclass
class _Connections:
    """The sockets of one request, to be shut down from another thread."""

    timeout: float
    sockets: list[socket.socket] = field(default_factory=list)
    streams: list[Any] = field(default_factory=list)
    stopped: bool = False
    timed_out: bool = False
    handshake: threading.Timer | None = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if self.handshake:
            self.handshake.cancel()
        if event.endswith("setup_socks5_connection.started"):  # httpcore has no timeout for it
            self.handshake = threading.Timer(self.timeout, self.time_out)
            self.handshake.start()
        if event.endswith("connect_tcp.complete"):
            stream = info["return_value"]
            # A duplicate: the original becomes part of a TLS socket, in its handshake out of reach.
            self.sockets.append(stream.get_extra_info("socket").dup())
            self.streams.append(stream)
            if self.stopped:
                self.shut()

    def time_out(self) -> None:
        self.timed_out = True
        self._shut_down()

    def shut(self) -> None:
        self.stopped = True
        self._shut_down()

    def _shut_down(self) -> None:
        for connection in self.sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        if self.stopped:
            raise Stopped
        check_stopped()

    def close(self) -> None:
        if self.handshake:
            self.handshake.cancel()
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
        connections = _Connections(self.timeout)
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
            cause = httpx.ConnectTimeout("") if connections.timed_out else problem
            error = explain(cause, self.url, self.hop, self.proxy)
        raise error

    def _follow(self, connections: _Connections) -> T:
        url = httpx.URL(self.url)
        login = (url.username, url.password) if url.userinfo else None
        url = url.copy_with(userinfo=b"", fragment=None)
        limits = httpx.Timeout(self.timeout).as_dict()
        extensions = {"trace": connections.trace, "timeout": limits}
        request = httpx.Request("GET", url, headers=self.headers, extensions=extensions)
        cookies = httpx.Cookies()
        for _ in range(MAX_REDIRECTS + 1):
            self.hop, self.proxy = request.url, proxy_for(request.url)
            with self._client(cookies) as client:
                response = client.send(request, stream=True, auth=login)
                try:
                    if response.next_request is None:
                        return self._read(response, connections)
                    request, login, cookies = response.next_request, None, client.cookies
                finally:
                    response.close()
        raise SourceRefusedError(f"{safe_url(self.url)} redirects more than {MAX_REDIRECTS} times")

    def _client(self, cookies: httpx.Cookies) -> httpx.Client:
        assert self.hop
        secure = "https" in (self.hop.scheme, self.proxy and self.proxy.scheme)
        # Reading certifi's CAs takes longer than a request.
        tls = create_tls_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        proxy = self.proxy.for_httpx(tls) if self.proxy else None
        return httpx.Client(trust_env=False, verify=tls, proxy=proxy, cookies=cookies)

    def _read(self, response: httpx.Response, connections: _Connections) -> T:
        def chunks() -> Iterator[bytes]:
            for chunk in response.iter_raw():  # no size: what is gathered is lost when it breaks
                connections.check()
                yield chunk

        reply = Reply(response.status_code, response.headers, chunks())
        if reply.status in self.accept:
            return self.receive(reply)
        page = next(reply.chunks, b"") if reply.status == 403 else b""
        raise error_for_status(self.url, reply.status, reply.headers, page, self.proxy)


class _Redact(logging.Filter):
    """httpx logs each URL, httpcore each Location header."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = re.sub(r"(://)[^/\s'\"]*@", r"\1", record.getMessage())
        record.msg, record.args = re.sub(r"[?][^\s'\"]*", "", text), ()
        return True


for _name in ("httpx", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_Redact())
