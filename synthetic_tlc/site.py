"""A web server that answers as the TLC's CloudFront does, and breaks when told to."""

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
    """A request as it came in, and what it was answered; header names match in any case."""

    method: str
    path: str
    headers: Message
    status: int
    bytes_sent: int = 0


@dataclass
class Fault:
    """Something to do wrong: to paths that end in `path`, `times` times (None: always)."""

    path: str | None
    times: int | None
    after: int = 0
    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: float = 0
    content: Path | None = None

    def concerns(self, path: str) -> bool:
        return self.times != 0 and (self.path is None or path.endswith(self.path))

    def use(self) -> None:
        if self.times:
            self.times -= 1


class Site:
    """Serves `folder` while the `with` block lasts: `Site(folder).url` + a file's path in it.

    What is not there is a 403 with S3's XML. The methods that break things take the end of a
    path (None: every path) and the number of requests that they spoil (`times=None`: all)."""

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
        self._scratch = TemporaryDirectory(prefix="mirror-")
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
        """Stop at once, whatever is still being sent; the port is free again."""
        server, self._server = self._server, None
        if server:
            self._closing.set()
            server.shutdown()
            self._thread.join()
            server.server_close()
            self._scratch.cleanup()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        host, port = self._running().server_address[:2]
        return f"http://{host!s}:{port}"

    def cut(self, path: str | None = None, after: int = 0, times: int | None = 1) -> None:
        """Announce the whole body, send `after` bytes of it, and hang up."""
        self._break("cut", Fault(path, times, after=after))

    def stall(self, path: str | None = None, after: int = 0, times: int | None = 1) -> None:
        """Send `after` bytes of the body, then nothing more until the site closes."""
        self._break("stall", Fault(path, times, after=after))

    def slow(self, bytes_per_second: float, path: str | None = None) -> None:
        """Send bodies at this rate from now on."""
        self._break("slow", Fault(path, None, rate=bytes_per_second))

    def truncate(self, path: str, to: int) -> None:
        """Serve only the first `to` bytes, and say so: a file broken at its source."""
        self._break("truncate", Fault(path, None, after=to))

    def answer(
        self,
        status: int,
        times: int | None = 1,
        path: str | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with this status, whatever is there: 403, 429 with Retry-After, 500, 503."""
        fault = Fault(path, times, status=status, body=body, headers=headers or {})
        self._break("answer", fault)

    def change(self, path: str, content: bytes | Path, after_requests: int = 1) -> None:
        """Replace the file, and its ETag, once it was asked for `after_requests` times more.

        A file that was not there appears: the month is published."""
        if isinstance(content, bytes):
            self._running()
            scratch = Path(self._scratch.name)
            file = scratch / str(len(list(scratch.iterdir())))
            file.write_bytes(content)
            content = file
        self._break("change", Fault(path, after_requests, content=content))

    def no_etag(self) -> None:
        """Be a simple server from now on: no ETag, no ranges, no conditions."""
        self._plain = True

    def heal(self) -> None:
        """Forget every fault, change and slowness so far."""
        with self._lock:
            self._faults.clear()
        self._plain = False

    def _running(self) -> _Server:
        if self._server is None:
            raise RuntimeError("the site is closed: use it as `with Site(folder) as site:`")
        return self._server

    def _break(self, kind: str, fault: Fault) -> None:
        with self._lock:  # first those with a number of times, in order, then the newest
            faults = self._faults.setdefault(kind, [])
            faults.insert(sum(other.times is not None for other in faults), fault)

    def _fault(self, kind: str, path: str) -> Fault | None:
        """The first fault of its kind still due for this path; uses it up."""
        with self._lock:
            for fault in self._faults.get(kind, []):
                if fault.concerns(path):
                    fault.use()
                    return fault
        return None

    def _file(self, path: str) -> Path | None:
        """The file behind a path of a URL, None where there is none or no business to be."""
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
        """Of the first `size` bytes; S3's is the MD5 of the content too."""
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
    disable_nagle_algorithm = True  # head and body are sent apart
    server: _Server

    def do_GET(self) -> None:
        site, path = self.server.site, unquote(urlsplit(self.path).path)
        file = site._file(path)
        if told := site._fault("answer", path):
            self._say(told.status, told.body, dict(told.headers))
        elif file is None:
            self._say(403, ACCESS_DENIED, {"Content-Type": XML})
        else:
            self._serve(path, file)

    do_HEAD = do_GET

    def _serve(self, path: str, file: Path) -> None:
        site = self.server.site
        with file.open("rb") as content:
            stat = os.fstat(content.fileno())
            shorter = site._fault("truncate", path)
            size = min(stat.st_size, shorter.after) if shorter else stat.st_size
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
                return self._say(304, b"", headers)
            if self._wants_part(etag, headers["Last-Modified"]):
                wanted = _range(self.headers["Range"], size)
                if wanted is None:
                    headers |= {"Content-Range": f"bytes */{size}", "Content-Type": XML}
                    body = b"<Error><Code>InvalidRange</Code></Error>"
                    return self._say(416, body, headers)
                if wanted != (0, 0):
                    start, stop = wanted
                    content.seek(start)
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
                    return self._send(206, headers, content, stop - start, path)
            return self._send(200, headers, content, size, path)

    def _wants_part(self, etag: str, modified: str) -> bool:
        asks = self.command == "GET" and "Range" in self.headers
        return asks and self.headers.get("If-Range") in (None, etag, modified)

    def _head(self, status: int, headers: Mapping[str, str], size: int) -> Request:
        said = Request(self.command, self.path, self.headers, status)
        self.server.site.requests.append(said)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304 and "Content-Length" not in headers:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        return said

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """A whole answer at once: whatever is not a file."""
        headers.setdefault("Content-Type", "text/html")
        headers.setdefault("x-cache", "Error from cloudfront")
        said = self._head(status, headers, len(body))
        if self.command != "HEAD" and status != 304:
            said.bytes_sent = len(body)
            self.wfile.write(body)

    def _send(
        self, status: int, headers: Mapping[str, str], content: IO[bytes], size: int, path: str
    ) -> None:
        site = self.server.site
        if self.command == "HEAD":
            self._head(status, headers, size)
            return
        cut, stall, slow = (site._fault(kind, path) for kind in ("cut", "stall", "slow"))
        said = self._head(status, headers, size)
        left = min([size] + [fault.after for fault in (cut, stall) if fault])
        step = max(1, min(CHUNK, int(slow.rate / 20))) if slow else CHUNK
        began = time.monotonic()
        while left and (chunk := content.read(min(step, left))):
            said.bytes_sent += len(chunk)
            left -= len(chunk)
            self.wfile.write(chunk)
            due = began + said.bytes_sent / slow.rate if slow else 0
            if slow and site._closing.wait(max(0, due - time.monotonic())):
                break
        if stall:
            site._closing.wait()
        if said.bytes_sent < size:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """Knows its threads and connections, so as to end them all when it closes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], site: Site) -> None:
        self.site = site
        self.open: dict[threading.Thread, socket.socket] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self.open = {t: s for t, s in self.open.items() if t.is_alive()} | {thread: request}
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # else: the client hung up
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        super().server_close()
        for connection in self.open.values():
            with contextlib.suppress(OSError):  # closed before us
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.open:
            thread.join()


def _matches(condition: str | None, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (condition or "").split(",")]
    return etag in tags or "*" in tags


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Where the wanted part begins and ends; (0, 0) for the whole, None when it lies outside."""
    unit, _, wanted = header.partition("=")
    first, dash, last = (part.strip() for part in wanted.partition("-"))
    numbers = [number for number in (first, last) if number]
    if unit != "bytes" or not dash or not numbers or not all(n.isdecimal() for n in numbers):
        return 0, 0  # not understood, several ranges among it: as if it were not there
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return 0, 0
    else:
        start, stop = max(size - int(last), 0), size
    return (start, stop) if start < stop else None
