"""The HTTP client of every source.

Timeout: `timeout` seconds to connect, to send and for each read; the whole request has no limit.
Redirects are followed; credentials are sent only to the host that they are for.
A signal or a stopped run ends a request within seconds (see cancellation.py).

    error                 status                         other causes
    NotPublishedError     404, 410, 403 if empty or
                          S3's AccessDenied
    TransientSourceError  408, 425, 429, 5xx, 403 if     temporary DNS failure, timeout,
                          throttled                      connection refused or broken
    SourceRefusedError    any other                      unknown host, untrusted certificate,
                                                         credentials that a proxy rejects
    InvalidInputError                                    unusable proxy or CA bundle

Retries: one after the time of a `Retry-After` header; all others are left to the caller (a Prefect
task). Messages never contain credentials, a query or the target of a redirect.

Environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, except for servers on this machine;
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
from nyc_taxi.sources.http_errors import error_for_exception, error_for_status
from nyc_taxi.urls import safe_url

T = TypeVar("T")
MAX_REDIRECTS = 20
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "nyc-taxi (Prefect flows)"}


@dataclass
class Reply:
    """An HTTP response whose body has not been read yet."""

    status: int
    headers: httpx.Headers
    chunks: Iterator[bytes]
    """The body as sent, with any Content-Encoding still applied."""


def get(
    url: str,
    receive: Callable[[Reply], T],
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
    accept: tuple[int, ...] = (200,),
    wait: float | None = None,
    setting: str = "NYC_TAXI_SOURCE_URL",
) -> T:
    """Send a GET request and return the result of `receive`, which runs in a separate thread.

    `accept`: statuses that are not errors. `wait`: the longest Retry-After to honor, in seconds
    (default: NYC_TAXI_WAIT). `setting`: the environment variable of the URL, for messages.
    """
    limit = settings().wait if wait is None else wait
    request = _Request(url, receive, HEADERS | dict(headers or {}), timeout, accept, setting)
    try:
        return request.send()
    except TransientSourceError as problem:
        delay = problem.retry_after
        if delay is None:
            raise
    if delay > limit:
        raise SourceRefusedError(
            f"{safe_url(url)} asks to wait {delay:,.0f} s (Retry-After), longer than "
            f"NYC_TAXI_WAIT={limit:g}; rerun later"
        )
    get_logger("nyc_taxi").warning("%s asks to wait %.0f s (Retry-After)", safe_url(url), delay)
    interruptible_sleep(delay)
    return request.send()


@dataclass
class _Connections:
    """Sockets of one request, which another thread can shut down."""

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
            # A duplicate: during a TLS handshake the original cannot be shut down.
            self.sockets.append(stream.get_extra_info("socket").dup())
            self.streams.append(stream)
            if self.stopped:
                self.stop()

    def time_out(self) -> None:
        self.timed_out = True
        self._shut_down()

    def stop(self) -> None:
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
        for connection in (*self.sockets, *self.streams):  # httpcore leaves SOCKS sockets open
            connection.close()


@dataclass
class _Request(Generic[T]):
    url: str
    receive: Callable[[Reply], T]
    headers: Mapping[str, str]
    timeout: float
    accept: tuple[int, ...]
    setting: str

    def send(self) -> T:
        connections = _Connections(self.timeout)
        try:
            return interruptible(lambda: self._attempt(connections), connections.stop)
        finally:
            connections.close()

    def _attempt(self, connections: _Connections) -> T:
        """Translate all httpx exceptions, without a cause: they contain URLs."""
        self.hop: httpx.URL | None = None
        self.proxy: Proxy | None = None
        try:
            return self._follow(connections)
        except (httpx.HTTPError, httpx.InvalidURL, socksio.ProtocolError, UnicodeError) as problem:
            cause = httpx.ConnectTimeout("") if connections.timed_out else problem
            error = error_for_exception(cause, self.url, self.hop, self.proxy, self.setting)
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
        # A plain request needs no CAs, and loading them takes longer than the request.
        tls = create_tls_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        proxy = self.proxy.for_httpx(tls) if self.proxy else None
        return httpx.Client(trust_env=False, verify=tls, proxy=proxy, cookies=cookies)

    def _read(self, response: httpx.Response, connections: _Connections) -> T:
        def chunks() -> Iterator[bytes]:
            for chunk in response.iter_raw():  # unbuffered: keeps all bytes of a broken connection
                connections.check()
                yield chunk

        reply = Reply(response.status_code, response.headers, chunks())
        if reply.status in self.accept:
            return self.receive(reply)
        body = next(reply.chunks, b"") if reply.status == 403 else b""
        raise error_for_status(
            self.url, reply.status, reply.headers, body, self.proxy, self.setting
        )


class _Redact(logging.Filter):
    """Removes credentials and queries from the URLs that httpx and httpcore log."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = re.sub(r"(://)[^/\s'\"]*@", r"\1", record.getMessage())
        record.msg, record.args = re.sub(r"[?][^\s'\"]*", "", text), ()
        return True


for _name in ("httpx", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_Redact())
