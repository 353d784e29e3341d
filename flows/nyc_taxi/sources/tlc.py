"""Months from the TLC's site, a mirror of it, or a folder."""

from pathlib import Path

from nyc_taxi.errors import NotPublishedError
from nyc_taxi.sources.downloads import Download
from nyc_taxi.sources.file_versions import Version, file_version
from nyc_taxi.sources.http_client import get
from nyc_taxi.sources.integrity import verify
from nyc_taxi.sources.locations import format_of, locate
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.trips.months import TripMonth


def fetch_month(trips: TripMonth, source: str, folder: Path, timeout: float = 30) -> Path:
    """Return the raw file of a month: downloaded to `folder`, or its path in a local source.

    Raises TransientSourceError if a retry may succeed, else another SourceError; InvalidInputError
    for an invalid source, LockTimeoutError if another run downloads the month for too long, and
    LocalWriteError if `folder` cannot be written.
    """
    location = locate(trips, source)
    if isinstance(location, Path):
        verify(location)
        return location
    target = folder / trips.color / f"{trips.stem}{format_of(location)}"
    with file_lock(target):
        return Download(trips, location, target, timeout).run()


def published_version(
    trips: TripMonth, source: str, timeout: float = 30, wait: float | None = None
) -> str | None:
    """Return a version token of the published file; None if it does not exist.

    The file itself is not downloaded. Raises another SourceError, or InvalidInputError for an
    invalid source.
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
