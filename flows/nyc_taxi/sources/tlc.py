"""From the TLC's site, a mirror of it or a folder, to a raw file that can be trusted.

A file counts once its length, its first and last bytes and its footer (Parquet) or its checksum
(gzip) are right. Until then it is a `.part`, which the next try goes on from.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from nyc_taxi.errors import NotPublishedError, SourceError, TransientSourceError
from nyc_taxi.sources.downloads import (
    Version,
    decode,
    file_version,
    identity,
    metadata_path,
)
from nyc_taxi.sources.http_client import Reply, get
from nyc_taxi.sources.integrity import verify
from nyc_taxi.sources.locations import format_of, locate
from nyc_taxi.storage.atomic_files import file_lock, translate_os_errors
from nyc_taxi.storage.progress import progress_bar
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.urls import safe_url


def fetch_month(trips: TripMonth, source: str, folder: Path, timeout: float = 30) -> Path:
    """The raw file of a month: downloaded under `folder`, or where it lies in a local source.

    Raises TransientSourceError when another try may do better, other SourceErrors when none will.
    """
    location = locate(trips, source)
    if isinstance(location, Path):
        verify(location)
        return location
    target = folder / trips.color / f"{trips.stem}{format_of(location)}"
    with file_lock(target):
        return _Download(trips, location, target, timeout).run()


def published_version(
    trips: TripMonth, source: str, timeout: float = 30, wait: float | None = None
) -> str | None:
    """What tells the month's file at the source from one put in its place; None: there is none.

    Nothing of the file is taken.
    """
    try:
        location = locate(trips, source)
        if isinstance(location, Path):
            return file_version(location)
        return get(
            location,
            lambda reply: Version.from_headers(location, reply.headers).token,
            headers={"Range": "bytes=0-0"},
            timeout=timeout,
            accept=(200, 206, 416),  # 416: an empty file
            wait=wait,
        )
    except NotPublishedError:
        return None


@dataclass
class _Download:
    trips: TripMonth
    url: str
    target: Path
    timeout: float

    def run(self) -> Path:
        self.part = self.target.with_name(f"{self.target.name}.part")
        try:
            with translate_os_errors(self.target):
                self._fetch()
        except NotPublishedError as problem:
            raise self._not_published(problem.status) from None
        return self.target

    def _fetch(self) -> None:
        headers = self._conditions()
        try:
            status, total = get(
                self.url,
                self._handle_response,
                headers=headers,
                timeout=self.timeout,
                accept=(200, 206, 304, 416),
            )
            if status != 304:
                self._publish(total)
        except OSError:
            self._forget_part()
            raise

    def _conditions(self) -> dict[str, str]:
        """The conditional and Range headers for what is on disk already."""
        headers, same = {}, identity(self.url)
        have = Version.of(self.target)
        if have and have.url == same and self._size(self.target) == have.size:
            if have.etag:
                headers["If-None-Match"] = have.etag
            elif have.modified:
                headers["If-Modified-Since"] = have.modified
        begun = Version.of(self.part)
        if begun and begun.url == same and begun.validator and self._size(self.part):
            headers["Range"] = f"bytes={self._size(self.part)}-"
            headers["If-Range"] = begun.validator
        return headers

    @staticmethod
    def _size(path: Path) -> int | None:
        return path.stat().st_size if path.is_file() else None

    def _handle_response(self, reply: Reply) -> tuple[int, int | None]:
        """The status, and the bytes of the whole file where they are known."""
        if reply.status == 304:
            self._forget_part()
            return 304, None
        if reply.status == 416:
            self._forget_part()
            raise TransientSourceError(f"{self._name} cannot be resumed (HTTP 416); it starts anew")
        # Some servers send the part that was asked for with the status of the whole.
        resumed = self._size(self.part) and "Content-Range" in reply.headers
        partial = reply.status == 206 or resumed
        done = self._resumed_at(reply) if partial else 0
        length = reply.headers.get("Content-Length")
        total = done + int(length) if length else None
        if not done:
            self._forget_part()
            self.part.touch()
            replace(Version.from_headers(self.url, reply.headers), size=total).keep(self.part)
        with progress_bar(f"{self.trips} download", total) as advance, self.part.open("ab") as file:
            advance(done)
            for chunk in reply.chunks:
                file.write(chunk)
                advance(len(chunk))
        return reply.status, total

    def _resumed_at(self, reply: Reply) -> int:
        begun, size = Version.of(self.part), self._size(self.part) or 0
        new = Version.from_headers(self.url, reply.headers)
        right = reply.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        changed = begun and (new.etag or begun.etag, new.encoding) != (begun.etag, begun.encoding)
        if not right or not begun or changed:
            self._forget_part()
            raise TransientSourceError(
                f"{self._name} sent another part than asked for; it starts anew"
            )
        return size

    def _publish(self, total: int | None) -> None:
        version = Version.of(self.part)
        size = self._size(self.part) or 0
        total = version.size if version and version.size else total  # a 206 may bring less
        if total is not None and size != total:
            raise TransientSourceError(f"{self._name} broke off after {size:,} of {total:,} bytes")
        try:
            decode(self.part, self.target.name, version.encoding if version else None)
            verify(self.part, self.target.name)
        except SourceError:
            self._forget_part()
            raise
        if version:
            size = self._size(self.part) or 0
            replace(version, size=size, encoding=None).keep(self.part)
        metadata_path(self.target).unlink(missing_ok=True)
        self.part.replace(self.target)
        if version:
            metadata_path(self.part).replace(metadata_path(self.target))

    def _forget_part(self) -> None:
        metadata_path(self.part).unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    @property
    def _name(self) -> str:
        return safe_url(self.url)

    def _not_published(self, status: int | None) -> NotPublishedError:
        answer = f"HTTP {status} for {self._name}"
        if date.today() < self.trips.next_first_day + timedelta(days=92):
            return NotPublishedError(
                f"{self.trips} is not published yet ({answer}); the TLC "
                "publishes a month about two months after its end, so choose an earlier one"
            )
        return NotPublishedError(
            f"the source has no {self.trips} ({answer}); check NYC_TAXI_SOURCE_URL"
        )
