"""Whether a raw file is complete, and of the format that its name tells."""

import zlib
from pathlib import Path

import duckdb

from nyc_taxi.engine import exact_path
from nyc_taxi.errors import Damaged

CHUNK = 1 << 20


def rows_in_footer(parquet: Path | str) -> int:
    """The number of rows a Parquet file says it holds."""
    with duckdb.connect() as db:
        row = db.execute(
            "SELECT num_rows FROM parquet_file_metadata(?)", [exact_path(parquet)]
        ).fetchone()
    return int(row[0]) if row else 0


def verify(path: Path, name: str | None = None) -> None:
    """Raise Damaged unless the file is complete and of the format that its name tells."""
    name = name or path.name
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        end = file.read()
    page = f"it begins with {start!r}" + (", as a web page does" if start[:1] == b"<" else "")
    again = f"nothing was kept of it; look at what the source serves for {name}"
    if name.endswith(".parquet"):
        if start != b"PAR1":
            raise Damaged(f"{name} is no Parquet file: {page}; {again}")
        if end != b"PAR1":
            raise Damaged(
                f"{name} is cut off: a Parquet file ends in b'PAR1', not {end!r}; {again}"
            )
        try:
            rows_in_footer(path)
        except duckdb.Error as problem:
            raise Damaged(f"{name} has an unreadable Parquet footer; {again}") from problem
    elif name.endswith(".gz"):
        if start[:2] != b"\x1f\x8b":
            raise Damaged(f"{name} is no gzip file: {page}; {again}")
        try:
            _check_gzip(path)
        except (zlib.error, EOFError) as problem:
            raise Damaged(f"{name} is cut off or damaged ({problem}); {again}") from problem
    elif not start or start[:1] == b"<":
        raise Damaged(f"{name} is no CSV file: {page}; {again}")


def _check_gzip(path: Path) -> None:
    with path.open("rb") as file:
        members = zlib.decompressobj(wbits=31)
        while chunk := file.read(CHUNK):
            while chunk:
                if members.eof:
                    members = zlib.decompressobj(wbits=31)
                members.decompress(chunk)
                chunk = members.unused_data
    if not members.eof:
        raise EOFError("no end-of-stream marker")
