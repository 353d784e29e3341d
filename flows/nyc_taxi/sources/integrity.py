"""Whether a raw file is complete, and of the format that its name tells."""

import gzip
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import CorruptFileError, LocalWriteError
from nyc_taxi.sources.file_formats import (
    PARQUET,
    START,
    as_text,
    foreign_separator,
    is_text,
    open_unpacked,
    other_format,
    shown,
)
from nyc_taxi.trips.schemas import SERVICES

CHUNK = 1 << 20
_KNOWN = {
    name.lower()
    for service in SERVICES.values()
    for column in service.columns
    for name in (column.name, *column.aliases)
}


def rows_in_footer(parquet: Path | str) -> int:
    """The number of rows a Parquet file says it holds."""
    return int(pq.read_metadata(parquet).num_rows)


def verify(path: Path, name: str | None = None) -> None:
    """Raise CorruptFileError unless the file is complete and of the format that its name tells.

    A CSV may be gzip or not, whatever its name.
    """
    name = name or path.name
    try:
        problem = _parquet_problem(path) if name.endswith(".parquet") else _csv_problem(path)
    except OSError as refused:
        raise LocalWriteError(f"{path} cannot be read: {refused.strerror or refused}") from refused
    if problem:
        raise CorruptFileError(
            f"{name} {problem}; nothing was kept of it; look at what the source serves for {name}"
        )


def _parquet_problem(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(START)
        file.seek(max(0, path.stat().st_size - 4))
        end = file.read()
    if not start.startswith(PARQUET):
        return f"is not a Parquet file: {_described(start)}"
    if end != PARQUET:
        return f"is cut off: a Parquet file ends in {PARQUET!r}, not {end!r}"
    try:
        rows_in_footer(path)
    except (pa.ArrowException, OSError):
        return "has an unreadable Parquet footer"
    return None


def _csv_problem(path: Path) -> str | None:
    try:
        with open_unpacked(path) as file:
            start = file.read(START)
            packed = isinstance(file, gzip.GzipFile)
            while packed and file.read(CHUNK):
                pass  # up to the checksum of the last member
    except (gzip.BadGzipFile, zlib.error, EOFError) as problem:
        return f"is cut off or damaged ({problem})"
    if other_format(start) or not (packed or is_text(start)):
        return f"is not a CSV file: {_described(start)}"
    if not is_text(start):
        return None
    names = as_text(start).splitlines()[0].lower()
    if separator := foreign_separator(names):
        return f"is not a CSV file: {separator} separate its fields; use commas"
    if _KNOWN.isdisjoint(name.strip('" ') for name in names.split(",")):
        return f"has none of the columns of trips: {_described(start)}"
    return None


def _described(start: bytes) -> str:
    kind = other_format(start)
    return f"it begins with {shown(start)}" + (f", as {kind} does" if kind else "")
