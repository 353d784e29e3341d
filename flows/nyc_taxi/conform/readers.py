"""A raw file as DuckDB's view `raw`, Parquet or CSV."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.conform.csv_records import BadCsv, CsvFile
from nyc_taxi.errors import (
    CorruptFileError,
    InvalidValueError,
    LocalWriteError,
    NycTaxiError,
    SchemaMismatchError,
)
from nyc_taxi.sources.file_formats import START, open_unpacked, other_format, shown
from nyc_taxi.sources.integrity import rows_in_footer
from nyc_taxi.storage.duckdb_engine import Database, open_duckdb, parquet_sql


class RawFile(Database):
    """DuckDB with a raw file as the view `raw`."""

    def __init__(self, db: Database, records: Callable[[], int], csv: CsvFile | None) -> None:
        super().__init__(db.connection)
        self.records = records
        """How many rows the file says it holds; for a CSV, known once it has been read."""
        self._csv = csv

    def found(self) -> dict[str, int | str]:
        """Return what the report should say about the file once it has been read."""
        return {"text encoding": "Windows-1252"} if self._csv and self._csv.legacy else {}


def read_header(raw: Path) -> dict[str, str]:
    """Return the columns of a raw file with their DuckDB types; CSV columns are texts.

    Raises SchemaMismatchError where two names are the same but for case and blanks.
    """
    if raw.suffix != ".parquet":
        with _open_csv(raw) as csv:
            return {name: "VARCHAR" for name in csv.names if name is not None}
    with open_raw(raw) as db:
        return {row[0]: row[1] for row in db.execute("DESCRIBE raw").fetchall()}


@contextmanager
def open_raw(raw: Path, threads: int | None = None) -> Iterator[RawFile]:
    """DuckDB with the raw file as the view `raw`; its complaints become one line of ours."""
    with open_duckdb(threads=threads) as db:
        if raw.suffix != ".parquet":
            with _open_csv(raw) as csv:
                db.register("raw", csv.batches())
                yield RawFile(db, lambda: csv.records, csv)
            return
        with _explaining(raw):
            names = pq.read_schema(raw).names
        _check_names(names, raw)
        try:
            db.execute(f"CREATE VIEW raw AS FROM {parquet_sql(raw, binary_as_string='true')}")
            yield RawFile(db, lambda: rows_in_footer(raw), None)
        except (duckdb.Error, pa.ArrowException) as problem:
            raise read_error(problem, raw) from problem


@contextmanager
def _open_csv(raw: Path) -> Iterator[CsvFile]:
    with ExitStack() as stack:
        with _explaining(raw):
            file = stack.enter_context(open_unpacked(raw))
            start = file.read(START)
            if kind := other_format(start):
                raise BadCsv(f"it begins with {shown(start)}, as {kind} does")
            file.seek(0)
            csv = CsvFile(file)
        for position, name in enumerate(csv.names, 1):
            if name is not None and not name.isprintable():
                raise SchemaMismatchError(
                    f"{raw.name}: column {position} is called {name!r}; use a name of printable "
                    "characters, and close every quote of the header"
                )
        _check_names(csv.names, raw)
        try:
            yield csv
        except (duckdb.Error, pa.ArrowException) as problem:
            raise read_error(csv.problem or problem, raw) from problem


def _check_names(names: Iterable[str | None], raw: Path) -> None:
    """Refuse names that differ only by case or blanks: DuckDB would hide or rename one of them."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if name is None:
            continue
        first = seen.setdefault(name.strip().lower(), position)
        if first != position:
            raise SchemaMismatchError(
                f"{raw.name} has the column {name.strip()} twice (columns {first} and {position}); "
                "case and surrounding blanks do not count, so rename one of them"
            )


@contextmanager
def _explaining(raw: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, OSError, zlib.error, pa.ArrowException) as problem:
        raise read_error(problem, raw) from problem


def read_error(problem: Exception, raw: Path) -> NycTaxiError:
    """DuckDB's words as one line of ours: column, value and file."""
    if isinstance(problem, OSError) and problem.strerror:
        return LocalWriteError(f"{raw} cannot be read: {problem.strerror}; allow it to be read")
    # Arrow goes on with the text of the row, which is nobody's business.
    first = re.sub(r"(Expected \d+ columns, got \d+): .*", r"\1", str(problem).partition("\n")[0])
    what = first.partition("Error: ")[2] or first
    if isinstance(problem, duckdb.OutOfMemoryException):
        return LocalWriteError(
            f"{raw.name} needs more memory than NYC_TAXI_MEMORY allows; set it higher"
        )
    if isinstance(problem, duckdb.Error) and " holds " in what:
        return InvalidValueError(f"{raw.name}: {what}; nothing was kept")
    if isinstance(problem, duckdb.ConversionException):
        return InvalidValueError(
            f"{raw.name}: {what}, which does not fit the column's type; nothing was kept"
        )
    return CorruptFileError(f"{raw.name} cannot be read to its end: {what}; nothing was kept")
