"""Verification that a raw file is complete and has the format of its name."""

import gzip
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import CorruptFileError, LocalWriteError
from nyc_taxi.sources.file_formats import (
    CHUNK,
    PARQUET,
    START,
    decode_text,
    is_text,
    open_decompressed,
    other_format,
    other_separator,
    preview,
)
from nyc_taxi.trips.schemas import SERVICES

_COLUMN_NAMES = {
    name.lower()
    for service in SERVICES.values()
    for column in service.columns
    for name in (column.name, *column.aliases)
}


def rows_in_footer(parquet: Path | str) -> int:
    """Return the number of rows according to the footer of a Parquet file."""
    return int(pq.read_metadata(parquet).num_rows)


def verify(path: Path, name: str | None = None) -> None:
    """Raise CorruptFileError unless the file is complete and has the format of its name.

    A CSV file may be compressed or not, regardless of its name.
    """
    name = name or path.name
    try:
        problem = _parquet_problem(path) if name.endswith(".parquet") else _csv_problem(path)
    except OSError as error:
        raise LocalWriteError(f"{path} cannot be read: {error.strerror or error}") from error
    if problem:
        raise CorruptFileError(f"{name} {problem}; nothing was kept; check the file at the source")


def _parquet_problem(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(START)
        file.seek(max(0, path.stat().st_size - 4))
        end = file.read()
    if not start.startswith(PARQUET):
        return f"is not a Parquet file: {_describe(start)}"
    if end != PARQUET:
        return f"is truncated: a Parquet file ends with {PARQUET!r}, not {end!r}"
    try:
        rows_in_footer(path)
    except (pa.ArrowException, OSError):
        return "has an unreadable Parquet footer"
    return None


def _csv_problem(path: Path) -> str | None:
    try:
        with open_decompressed(path) as file:
            start = file.read(START)
            compressed = isinstance(file, gzip.GzipFile)
            while compressed and file.read(CHUNK):
                pass  # to the checksum of the last member
    except (gzip.BadGzipFile, zlib.error, EOFError) as problem:
        return f"is truncated or damaged ({problem})"
    if other_format(start) or not (compressed or is_text(start)):
        return f"is not a CSV file: {_describe(start)}"
    if not is_text(start):
        return None
    names = decode_text(start).splitlines()[0].lower()
    if separator := other_separator(names):
        return f"is not a CSV file: its fields are separated by {separator}; use commas"
    if _COLUMN_NAMES.isdisjoint(name.strip('" ') for name in names.split(",")):
        return f"has none of the trip columns: {_describe(start)}"
    return None


def _describe(start: bytes) -> str:
    kind = other_format(start)
    return f"it starts with {preview(start)}" + (f", like {kind}" if kind else "")
