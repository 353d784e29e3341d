"""The lake: stores each conformed month as one Parquet file.

An address is `<kind>:<path or Prefect block>`, such as `local:data/lake`. The kind is a key of
registry.LAKES. An address never contains a credential.
"""

from pathlib import Path
from typing import BinaryIO, Protocol


class Lake(Protocol):
    """Files stored under keys such as `data/yellow/yellow_tripdata_2021-01.parquet`.

    Writes are atomic: a reader sees the old file or the new one. `get`, `uri` and `open` raise
    StorageError for a missing key.
    """

    def put(self, file: Path, key: str) -> str:
        """Store a local file under `key`, replacing any previous one. Returns its URI."""

    def get(self, key: str) -> Path:
        """Return a local file with the content of `key`."""

    def uri(self, key: str) -> str:
        """Return the URI of `key`: a path, or a URL such as `gs://bucket/key`."""

    def open(self, key: str) -> BinaryIO:
        """Open `key` for reading in place, without downloading all of it."""

    def check(self) -> str:
        """Check that the lake is writable. Returns a status line; raises NycTaxiError."""


def uri_or_local_copy(lake: Lake, key: str, reads: tuple[str, ...]) -> Path | str:
    """Return the URI of `key` if its scheme is in `reads`, else a local copy of the file."""
    uri = lake.uri(key)
    scheme, _, path = uri.partition("://")
    return uri if path and scheme in reads else lake.get(key)
