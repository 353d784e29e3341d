"""Resumable download of one month.

It is written to a `.part` file, so that the next attempt can resume it. The file is renamed once
its length, first and last bytes, and footer (Parquet) or checksum (gzip) are verified.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from nyc_taxi.errors import NotPublishedError, SourceError, TransientSourceError
from nyc_taxi.sources.content_encoding import decode
from nyc_taxi.sources.file_versions import Version, metadata_path, url_identity
from nyc_taxi.sources.http_client import Reply, get
from nyc_taxi.sources.integrity import verify
from nyc_taxi.storage.atomic_files import translate_os_errors
from nyc_taxi.storage.progress import progress_bar
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.urls import safe_url


@dataclass
class Download:
    """The caller holds the lock of `target`."""

    trips: TripMonth
    url: str
    target: Path
    timeout: float

    def __post_init__(self) -> None:
        self.part = self.target.with_name(f"{self.target.name}.part")
        self.name = safe_url(self.url)

    def run(self) -> Path:
        try:
            with translate_os_errors(self.target):
                self._fetch()
        except NotPublishedError as problem:
            raise self._not_published(problem.status) from None
        return self.target

    def _fetch(self) -> None:
        headers = self._request_headers()
        try:
            status, size = get(
                self.url,
                self._handle_response,
                headers=headers,
                timeout=self.timeout,
                accept=(200, 206, 304, 416),
            )
            if status != 304:
                self._finalize(size)
        except OSError:
            self._delete_part()
            raise

    def _request_headers(self) -> dict[str, str]:
        """Build the conditional and Range headers."""
        headers, identity = {}, url_identity(self.url)
        existing, partial = Version.read(self.target), Version.read(self.part)
        if existing and existing.url == identity and _size(self.target) == existing.size:
            if existing.etag:
                headers["If-None-Match"] = existing.etag
            elif existing.modified:
                headers["If-Modified-Since"] = existing.modified
        if partial and partial.url == identity and partial.strong_etag and _size(self.part):
            headers["Range"] = f"bytes={_size(self.part)}-"
            headers["If-Range"] = partial.strong_etag
        return headers

    def _handle_response(self, reply: Reply) -> tuple[int, int | None]:
        """Store the body; return the status and the bytes of the complete file, if known."""
        if reply.status == 304:
            self._delete_part()
            return 304, None
        if reply.status == 416:
            self._delete_part()
            raise TransientSourceError(
                f"{self.name} cannot be resumed (HTTP 416); the retry starts from zero"
            )
        # Some servers send the requested range with the status of a complete response.
        resumed = _size(self.part) and "Content-Range" in reply.headers
        offset = self._resume_offset(reply) if reply.status == 206 or resumed else 0
        length = reply.headers.get("Content-Length")
        size = offset + int(length) if length else None
        if not offset:
            self._delete_part()
            self.part.touch()
            replace(Version.from_headers(self.url, reply.headers), size=size).write(self.part)
        with progress_bar(f"{self.trips} download", size) as advance, self.part.open("ab") as file:
            advance(offset)
            for chunk in reply.chunks:
                file.write(chunk)
                advance(len(chunk))
        return reply.status, size

    def _resume_offset(self, reply: Reply) -> int:
        """Return the bytes already on disk. Raises an error if the reply does not continue them."""
        old, offset = Version.read(self.part), _size(self.part) or 0
        new = Version.from_headers(self.url, reply.headers)
        continues = reply.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        changed = old and (new.etag or old.etag, new.encoding) != (old.etag, old.encoding)
        if not continues or not old or changed:
            self._delete_part()
            raise TransientSourceError(
                f"{self.name} sent the wrong range or a changed file; the retry starts from zero"
            )
        return offset

    def _finalize(self, expected: int | None) -> None:
        """Verify the partial file and rename it to the target."""
        version = Version.read(self.part)
        size = _size(self.part) or 0
        if version and version.size:  # a 206 may send less than the rest
            expected = version.size
        if expected is not None and size != expected:
            raise TransientSourceError(
                f"the download of {self.name} was cut off at {size:,} of {expected:,} bytes; "
                "rerun to resume"
            )
        try:
            decode(self.part, self.target.name, version.encoding if version else None)
            verify(self.part, self.target.name)
        except SourceError:
            self._delete_part()
            raise
        if version:
            replace(version, size=_size(self.part) or 0, encoding=None).write(self.part)
        metadata_path(self.target).unlink(missing_ok=True)
        self.part.replace(self.target)
        if version:
            metadata_path(self.part).replace(metadata_path(self.target))

    def _delete_part(self) -> None:
        metadata_path(self.part).unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _not_published(self, status: int | None) -> NotPublishedError:
        response = f"HTTP {status} for {self.name}"
        if date.today() < self.trips.next_first_day + timedelta(days=92):
            return NotPublishedError(
                f"{self.trips} is not published yet ({response}); the TLC "
                "publishes a month about two months after its end, so choose an earlier one"
            )
        return NotPublishedError(
            f"the source has no {self.trips} ({response}); check NYC_TAXI_SOURCE_URL"
        )


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
