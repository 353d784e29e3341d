"""Web server that behaves like the TLC's CloudFront site, with faults that tests can inject."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import unquote, urlsplit

from synthetic_tlc.pages import ACCESS_DENIED, BLOCKED_PAGE

__all__ = ["BLOCKED_PAGE", "Request", "Site"]

CHUNK = 256 * 1024
XML = "application/xml"


@dataclass
class Request:
    """A received request and its response status. Header names are case-insensitive."""

    method: str
    path: str
    headers: Message
    status: int
    bytes_sent: int = 0


@dataclass
class Fault:
    """Fault for paths that end in `path` (None: all), for `times` requests (None: always)."""

    path: str | None
    times: int | None
    after: int = 0
    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: float = 0
    content: Path | None = None

    def applies_to(self, path: str) -> bool:
        return self.times != 0 and (self.path is None or path.endswith(self.path))

    def use(self) -> None:
        if self.times:
            self.times -= 1


class Site:
    """Serves `folder` inside a `with` block; a file's URL is `Site(folder).url` plus its path.

    A missing file is HTTP 403 with S3's XML. The methods that inject faults take the end of a path
    (None: all paths) and the number of requests to affect (`times=None`: all).
    """

    handler: type[_Handler]

    def __init__(self, folder: Path | str, port: int = 0, host: str = "127.0.0.1") -> None:
        self.folder, self.requests = Path(folder), list[Request]()
        self._address = (host, port)
        self._server: _Server | None = None
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._faults: dict[str, list[Fault]] = {}
        self._etags: dict[tuple[Path, int, int, int], str] = {}
        self._seen: set[str] = set()
        self._plain = False

    def __enter__(self) -> Self:
        self._closing.clear()
        self._scratch = TemporaryDirectory(prefix="site-")
        self._server = _Server(self._address, self)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop immediately, abort open responses and release the port."""
        server, self._server = self._server, None
        if server:
            self._closing.set()
            server.shutdown()
            self._thread.join()
            server.server_close()
            self._scratch.cleanup()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a trailing slash."""
        host, port = self._running().server_address[:2]
        return f"http://{host!s}:{port}"

    def cut(self, path: str | None = None, after: int = 0, times: int | None = 1) -> None:
        """Announce the whole body, send `after` bytes, then close the connection."""
        self._break("cut", Fault(path, times, after=after))

    def stall(self, path: str | None = None, after: int = 0, times: int | None = 1) -> None:
        """Send `after` bytes of the body, then stall until the site closes."""
        self._break("stall", Fault(path, times, after=after))

    def slow(self, bytes_per_second: float, path: str | None = None) -> None:
        """Limit the rate of response bodies."""
        self._break("slow", Fault(path, None, rate=bytes_per_second))

    def truncate(self, path: str, to: int) -> None:
        """Serve the first `to` bytes as if they were the whole file."""
        self._break("truncate", Fault(path, None, after=to))

    def answer(
        self,
        status: int,
        times: int | None = 1,
        path: str | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Respond with this status, such as 403, 429 with Retry-After, 500 or 503."""
        fault = Fault(path, times, status=status, body=body, headers=headers or {})
        self._break("answer", fault)

    def change(self, path: str, content: bytes | Path, after_requests: int = 1) -> None:
        """Replace the file and its ETag after `after_requests` more requests for it.

        If the file did not exist, this publishes it.
        """
        if isinstance(content, bytes):
            self._running()
            scratch = Path(self._scratch.name)
            file = scratch / str(len(list(scratch.iterdir())))
            file.write_bytes(content)
            content = file
        self._break("change", Fault(path, after_requests, content=content))

    def no_etag(self) -> None:
        """Serve without ETag, range requests and conditional requests."""
        self._plain = True

    def heal(self) -> None:
        """Remove all faults, changes and rate limits."""
        with self._lock:
            self._faults.clear()
        self._plain = False

    def _running(self) -> _Server:
        if self._server is None:
            raise RuntimeError("the site is closed: use it as `with Site(folder) as site:`")
        return self._server

    def _break(self, kind: str, fault: Fault) -> None:
        with self._lock:  # faults with a limited number of requests come first
            faults = self._faults.setdefault(kind, [])
            faults.insert(sum(other.times is not None for other in faults), fault)

    def _fault(self, kind: str, path: str) -> Fault | None:
        """Return the first fault of this kind that applies to the path, and count its use."""
        with self._lock:
            for fault in self._faults.get(kind, []):
                if fault.applies_to(path):
                    fault.use()
                    return fault
        return None

    def _file(self, path: str) -> Path | None:
        """Return the file of a URL path; None if it does not exist or is outside the folder."""
        with self._lock:
            changes = [c for c in self._faults.get("change", []) if path.endswith(str(c.path))]
            done = [change for change in changes if change.times == 0]
            for change in changes:
                change.use()
        if done:
            return done[-1].content
        parts = PurePosixPath(path).parts[1:]
        if ".." in parts or any(sign in part for part in parts for sign in "\0\\:"):
            return None
        file = self.folder.joinpath(*parts)
        return file if file.is_file() else None

    def _etag(self, path: Path, content: IO[bytes], stat: os.stat_result, size: int) -> str:
        """Return the MD5 of the first `size` bytes, as S3 does."""
        key = (path, stat.st_mtime_ns, stat.st_size, size)
        if key not in self._etags:
            digest, left = hashlib.md5(usedforsecurity=False), size
            while left and (chunk := content.read(min(CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
            content.seek(0)
            self._etags[key] = f'"{digest.hexdigest()}"'
        return self._etags[key]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "AmazonS3", ""
    disable_nagle_algorithm = True  # headers and body are sent separately
    server: _Server

    def do_GET(self) -> None:
        site, path = self.server.site, unquote(urlsplit(self.path).path)
        file = site._file(path)
        if fault := site._fault("answer", path):
            self._respond(fault.status, fault.body, dict(fault.headers))
        elif file is None:
            self._respond(403, ACCESS_DENIED, {"Content-Type": XML})
        else:
            self._serve(path, file)

    do_HEAD = do_GET

    def _serve(self, path: str, file: Path) -> None:
        site = self.server.site
        with file.open("rb") as content:
            stat = os.fstat(content.fileno())
            truncated = site._fault("truncate", path)
            size = min(stat.st_size, truncated.after) if truncated else stat.st_size
            csv = path.endswith((".csv", ".txt"))
            headers = {
                "Content-Type": "text/csv" if csv else "binary/octet-stream",
                "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
                "x-cache": "Hit from cloudfront" if path in site._seen else "Miss from cloudfront",
            }
            site._seen.add(path)
            if site._plain:
                return self._send(200, headers, content, size, path)

            etag = site._etag(file, content, stat, size)
            headers |= {"ETag": etag, "Accept-Ranges": "bytes"}
            if _matches(self.headers.get("If-None-Match"), etag):
                return self._respond(304, b"", headers)
            if self._is_range_request(etag, headers["Last-Modified"]):
                wanted = _range(self.headers["Range"], size)
                if wanted is None:
                    headers |= {"Content-Range": f"bytes */{size}", "Content-Type": XML}
                    body = b"<Error><Code>InvalidRange</Code></Error>"
                    return self._respond(416, body, headers)
                if wanted != (0, 0):
                    start, stop = wanted
                    content.seek(start)
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
                    return self._send(206, headers, content, stop - start, path)
            return self._send(200, headers, content, size, path)

    def _is_range_request(self, etag: str, modified: str) -> bool:
        ranged = self.command == "GET" and "Range" in self.headers
        return ranged and self.headers.get("If-Range") in (None, etag, modified)

    def _head(self, status: int, headers: Mapping[str, str], size: int) -> Request:
        request = Request(self.command, self.path, self.headers, status)
        self.server.site.requests.append(request)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304 and "Content-Length" not in headers:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        return request

    def _respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Send a complete response that is not a file."""
        headers.setdefault("Content-Type", "text/html")
        headers.setdefault("x-cache", "Error from cloudfront")
        request = self._head(status, headers, len(body))
        if self.command != "HEAD" and status != 304:
            request.bytes_sent = len(body)
            self.wfile.write(body)

    def _send(
        self, status: int, headers: Mapping[str, str], content: IO[bytes], size: int, path: str
    ) -> None:
        site = self.server.site
        if self.command == "HEAD":
            self._head(status, headers, size)
            return
        cut, stall, slow = (site._fault(kind, path) for kind in ("cut", "stall", "slow"))
        request = self._head(status, headers, size)
        left = min([size] + [fault.after for fault in (cut, stall) if fault])
        step = max(1, min(CHUNK, int(slow.rate / 20))) if slow else CHUNK
        began = time.monotonic()
        while left and (chunk := content.read(min(step, left))):
            request.bytes_sent += len(chunk)
            left -= len(chunk)
            self.wfile.write(chunk)
            due = began + request.bytes_sent / slow.rate if slow else 0
            if slow and site._closing.wait(max(0, due - time.monotonic())):
                break
        if stall:
            site._closing.wait()
        if request.bytes_sent < size:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


Site.handler = _Handler


class _Server(ThreadingHTTPServer):
    """HTTP server that tracks its threads and connections, to end them all on close."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], site: Site) -> None:
        self.site = site
        self.open: dict[threading.Thread, socket.socket] = {}
        super().__init__(address, site.handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self.open = {t: s for t, s in self.open.items() if t.is_alive()} | {thread: request}
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client closed the connection
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        super().server_close()
        for connection in self.open.values():
            with contextlib.suppress(OSError):  # already closed
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.open:
            thread.join()


def _matches(condition: str | None, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (condition or "").split(",")]
    return etag in tags or "*" in tags


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of a Range header; (0, 0) for the whole file; None if unsatisfiable."""
    unit, _, wanted = header.partition("=")
    first, dash, last = (part.strip() for part in wanted.partition("-"))
    numbers = [number for number in (first, last) if number]
    if unit != "bytes" or not dash or not numbers or not all(n.isdecimal() for n in numbers):
        return 0, 0  # unsupported, such as several ranges: ignore the header
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return 0, 0
    else:
        start, stop = max(size - int(last), 0), size
    return (start, stop) if start < stop else None
