"""Readers of raw files, Parquet or CSV, as DuckDB's view `raw`."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.conform.column_names import check_duplicates
from nyc_taxi.conform.csv_blocks import CsvError
from nyc_taxi.conform.csv_records import CsvFile
from nyc_taxi.errors import (
    CorruptFileError,
    InvalidValueError,
    LocalWriteError,
    NycTaxiError,
    SchemaMismatchError,
)
from nyc_taxi.sources.file_formats import START, open_decompressed, other_format, preview
from nyc_taxi.sources.integrity import rows_in_footer
from nyc_taxi.storage.duckdb_engine import Database, open_duckdb, parquet_sql


class RawFile(Database):
    """DuckDB connection with a raw file as the view `raw`."""

    def __init__(self, db: Database, records: Callable[[], int], csv: CsvFile | None) -> None:
        super().__init__(db.connection)
        self.records = records
        """Returns the number of rows in the file; of a CSV, the rows read so far."""
        self._csv = csv

    def anomalies(self) -> dict[str, int | str]:
        """Return the anomalies of the file for the report, once it has been read."""
        return {"text encoding": "Windows-1252"} if self._csv and self._csv.legacy else {}


def read_header(raw: Path) -> dict[str, str]:
    """Return the columns of a raw file with their DuckDB types; all CSV columns are texts.

    Raises SchemaMismatchError if two names differ only by case or surrounding blanks.
    """
    if raw.suffix != ".parquet":
        with _open_csv(raw) as csv:
            return {name: "VARCHAR" for name in csv.names if name is not None}
    with open_raw(raw) as db:
        return {row[0]: row[1] for row in db.execute("DESCRIBE raw").fetchall()}


@contextmanager
def open_raw(raw: Path, threads: int | None = None) -> Iterator[RawFile]:
    """Open DuckDB with the raw file as the view `raw`; translate its errors (see `read_error`)."""
    with open_duckdb(threads=threads) as db:
        if raw.suffix != ".parquet":
            with _open_csv(raw) as csv:
                db.register("raw", csv.batches())
                yield RawFile(db, lambda: csv.records, csv)
            return
        with _translate_read_errors(raw):
            names = pq.read_schema(raw).names
        check_duplicates(names, raw.name)
        try:
            db.execute(f"CREATE VIEW raw AS FROM {parquet_sql(raw, binary_as_string='true')}")
            yield RawFile(db, lambda: rows_in_footer(raw), None)
        except (duckdb.Error, pa.ArrowException) as problem:
            raise read_error(problem, raw) from problem


@contextmanager
def _open_csv(raw: Path) -> Iterator[CsvFile]:
    with ExitStack() as stack:
        with _translate_read_errors(raw):
            file = stack.enter_context(open_decompressed(raw))
            start = file.read(START)
            if kind := other_format(start):
                raise CsvError(f"it starts with {preview(start)}, like {kind}")
            file.seek(0)
            csv = CsvFile(file)
        for position, name in enumerate(csv.names, 1):
            if name is not None and not name.isprintable():
                raise SchemaMismatchError(
                    f"{raw.name}: column {position} has the name {name!r}; use printable "
                    "characters, and close all quotes of the header"
                )
        check_duplicates(csv.names, raw.name)
        try:
            yield csv
        except (duckdb.Error, pa.ArrowException) as problem:
            raise read_error(csv.problem or problem, raw) from problem


@contextmanager
def _translate_read_errors(raw: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, OSError, zlib.error, pa.ArrowException) as problem:
        raise read_error(problem, raw) from problem


def read_error(problem: Exception, raw: Path) -> NycTaxiError:
    """Map an error of DuckDB or Arrow to an error of one line: file, column and value."""
    if isinstance(problem, OSError) and problem.strerror:
        return LocalWriteError(f"{raw} cannot be read: {problem.strerror}; make it readable")
    # Arrow appends the text of the row, which may be sensitive.
    line = re.sub(r"(Expected \d+ columns, got \d+): .*", r"\1", str(problem).partition("\n")[0])
    reason = line.partition("Error: ")[2] or line
    if isinstance(problem, duckdb.OutOfMemoryException):
        return LocalWriteError(
            f"{raw.name} needs more memory than NYC_TAXI_MEMORY allows; increase it"
        )
    if isinstance(problem, duckdb.Error) and " holds " in reason:
        return InvalidValueError(f"{raw.name}: {reason}; nothing was kept")
    if isinstance(problem, duckdb.ConversionException):
        return InvalidValueError(
            f"{raw.name}: {reason}, which does not fit the column's type; nothing was kept"
        )
    return CorruptFileError(f"{raw.name} cannot be read to its end: {reason}; nothing was kept")
