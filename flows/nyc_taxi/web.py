"""From the TLC's site, a mirror of it or a folder, to a raw file that can be trusted.

A file counts once its length, its first and last bytes and its footer (Parquet) or its checksum
(gzip) are right. Until then it is a `.part`, which the next try goes on from.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from nyc_taxi.errors import Interrupted, NotPublished, Refused, SourceError
from nyc_taxi.files import only_writer, writing
from nyc_taxi.months import TripMonth
from nyc_taxi.progress import bar
from nyc_taxi.sources import FORMATS, locate
from nyc_taxi.verify import verify

_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "nyc-taxi (Prefect flows)"}


def fetch_month(trips: TripMonth, source: str, folder: Path, timeout: float = 30) -> Path:
    """The raw file of a month: downloaded under `folder`, or where it lies in a local source.

    Raises Interrupted when another try may do better, other SourceErrors when none will.
    """
    location = locate(trips, source)
    if isinstance(location, Path):
        verify(location)
        return location
    ending = next(ending for ending in FORMATS if location.endswith(ending))
    target = folder / trips.color / f"{trips.stem}{ending}"
    with only_writer(target):
        return _Download(trips, location, target, timeout).run()


def published_version(trips: TripMonth, source: str, timeout: float = 30) -> str | None:
    """What tells the month's file at the source from one put in its place; None: there is none.

    Nothing of the file is taken.
    """
    try:
        location = locate(trips, source)
        if isinstance(location, Path):
            return f"{location.stat().st_size} bytes of {location.stat().st_mtime_ns}"
        return _Download(trips, location, Path(), timeout).version()
    except NotPublished:
        return None


@dataclass(frozen=True)
class _Version:
    """Which version of a file lies on disk: kept beside it, as `<file>.json`."""

    url: str
    etag: str | None
    modified: str | None
    size: int | None

    @classmethod
    def of(cls, path: Path) -> "_Version | None":
        try:
            return cls(**json.loads(_beside(path).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, path: Path) -> None:
        _beside(path).write_text(json.dumps(asdict(self)))

    @property
    def validator(self) -> str | None:
        """What `If-Range` may carry: a strong ETag."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


@dataclass
class _Download:
    trips: TripMonth
    url: str
    target: Path
    timeout: float

    def run(self) -> Path:
        self.part = self.target.with_name(f"{self.target.name}.part")
        with self._get(self._conditions()) as response, writing(self.target):
            return self._take(response)

    @contextmanager
    def _get(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        try:
            with (
                httpx.Client(timeout=self.timeout, follow_redirects=True) as client,
                client.stream("GET", self.url, headers=headers) as response,
            ):
                yield response
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as problem:
            raise Refused(f"cannot fetch {self.url}: {problem}") from problem
        except httpx.TransportError as problem:
            raise _unreachable(self.url, problem) from problem

    def version(self) -> str:
        with self._get({**_HEADERS, "Range": "bytes=0-0"}) as response:
            if response.status_code not in (200, 206):
                raise self._no(response.status_code, response)
            headers = response.headers
            return headers.get("ETag") or headers.get("Last-Modified") or "the only one"

    def _conditions(self) -> dict[str, str]:
        """Ask only for what is not here yet: nothing, or the rest of a broken-off download."""
        headers = dict(_HEADERS)
        have = _Version.of(self.target)
        if have and have.url == self.url and self._size(self.target) == have.size:
            if have.etag:
                headers["If-None-Match"] = have.etag
            elif have.modified:
                headers["If-Modified-Since"] = have.modified
        begun = _Version.of(self.part)
        if begun and begun.url == self.url and begun.validator and self._size(self.part):
            headers["Range"] = f"bytes={self._size(self.part)}-"
            headers["If-Range"] = begun.validator
        return headers

    @staticmethod
    def _size(path: Path) -> int | None:
        return path.stat().st_size if path.is_file() else None

    def _take(self, response: httpx.Response) -> Path:
        status = response.status_code
        if status == 304:
            self._forget_part()
            return self.target
        if status == 416:
            self._forget_part()
            raise Interrupted(f"{self.url} has no more than was here of it; it starts anew")
        if status not in (200, 206):
            raise self._no(status, response)
        done = self._resumed_at(response) if status == 206 else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        try:
            if not done:
                self._begin(response, total)
            self._receive(response, done, total)
            self._publish(total)
        except OSError:
            self._forget_part()
            raise
        return self.target

    def _resumed_at(self, response: httpx.Response) -> int:
        begun, size = _Version.of(self.part), self._size(self.part) or 0
        right = response.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        if not right or not begun or response.headers.get("ETag", begun.etag) != begun.etag:
            self._forget_part()
            raise Interrupted(f"{self.url} sent another part than asked for; it starts anew")
        return size

    def _begin(self, response: httpx.Response, total: int | None) -> None:
        self._forget_part()
        headers = response.headers
        version = _Version(self.url, headers.get("ETag"), headers.get("Last-Modified"), total)
        self.part.touch()
        version.keep(self.part)

    def _receive(self, response: httpx.Response, done: int, total: int | None) -> None:
        with bar(f"{self.trips} download", total) as advance, self.part.open("ab") as file:
            advance(done)
            for chunk in response.iter_raw():  # no size: what is gathered is lost when it breaks
                file.write(chunk)
                advance(len(chunk))

    def _publish(self, total: int | None) -> None:
        version = _Version.of(self.part)
        size = self._size(self.part) or 0
        total = version.size if version and version.size else total  # a 206 may bring less
        if total is not None and size != total:
            raise Interrupted(f"{self.url} broke off after {size:,} of {total:,} bytes")
        try:
            verify(self.part, self.target.name)
        except SourceError:
            self._forget_part()
            raise
        if version:
            replace(version, size=size).keep(self.part)
        _beside(self.target).unlink(missing_ok=True)
        self.part.replace(self.target)
        if version:
            _beside(self.part).replace(_beside(self.target))

    def _forget_part(self) -> None:
        _beside(self.part).unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _no(self, status: int, response: httpx.Response) -> SourceError:
        """What a status other than yes means, and what to do about it."""
        if status in (408, 425, 429) or status >= 500:
            why = "is throttling us" if status == 429 else "has trouble"
            return Interrupted(
                f"the source {why} (HTTP {status} for {self.url}); run this again later, "
                "or set NYC_TAXI_MONTHS_AT_ONCE=1"
            )
        start = next(response.iter_raw(4096), b"") if status == 403 else b""
        page = start.decode("utf-8", "replace")
        if "Request blocked" in page or "too much traffic" in page:
            return Interrupted(
                f"the source is throttling us (HTTP 403, 'Request blocked', for {self.url}); "
                "wait some minutes and run this again, or set NYC_TAXI_MONTHS_AT_ONCE=1"
            )
        if status in (404, 410) or (status == 403 and ("AccessDenied" in page or not page)):
            if date.today() < self.trips.next_first_day + timedelta(days=92):
                return NotPublished(
                    f"{self.trips} is not published yet (HTTP {status} for {self.url}); the TLC "
                    "publishes a month about two months after its end, so choose an earlier one"
                )
            return NotPublished(
                f"the source has no {self.trips} (HTTP {status} for {self.url}); "
                "check NYC_TAXI_SOURCE_URL"
            )
        return Refused(
            f"the source refuses to serve {self.url} (HTTP {status}); check NYC_TAXI_SOURCE_URL "
            "and whether a proxy or a firewall stands between"
        )


def _unreachable(url: str, problem: httpx.TransportError) -> SourceError:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return Refused(
                f"there is no host {urlsplit(url).hostname!r}; "
                "check NYC_TAXI_SOURCE_URL and the network"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(problem, httpx.TimeoutException):
        return Interrupted(
            f"{url} sent nothing for too long; run this again, it goes on from there"
        )
    if isinstance(problem, httpx.ConnectError):
        return Interrupted(
            f"cannot reach {url} ({problem}); check NYC_TAXI_SOURCE_URL and the network"
        )
    return Interrupted(f"{url} broke off ({problem}); run this again, it goes on from there")
