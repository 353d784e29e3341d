"""Version of the source, kept in the metadata of a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

SOURCE_VERSION = "source_version"
"""Key in the file's metadata: the version (an ETag, for example) of what it was made from."""


def source_version(metadata: pq.FileMetaData) -> str | None:
    """Return the version of the source; None if the file does not say."""
    found = (metadata.metadata or {}).get(SOURCE_VERSION.encode())
    return found.decode(errors="replace") if found else None


def read_source_version(parquet: Path | str | BinaryIO) -> str | None:
    return source_version(pq.read_metadata(parquet))
