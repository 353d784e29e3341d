"""A raw file of any year becomes its colour's one schema, in one streamed pass.

Columns are renamed, re-typed and decoded by one SQL expression each, so memory does not grow with
the file. No value is guessed: one that does not fit its type ends the pass with an error.
"""

from __future__ import annotations

import csv
import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv

from nyc_taxi.colors import Column, Type
from nyc_taxi.engine import literal, open_duckdb, quoted
from nyc_taxi.errors import BadSchema, BadValue, Damaged
from nyc_taxi.files import replacing, writing
from nyc_taxi.months import TripMonth
from nyc_taxi.progress import watching
from nyc_taxi.reports import MonthReport, find_dirt
from nyc_taxi.verify import rows_in_footer

_RAW = "raw"
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_BROKEN = ("FLOAT", "DOUBLE", "DECIMAL")
_MOMENTS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_TAKES: dict[Type, tuple[str, ...]] = {
    "BIGINT": (*_WHOLE, "UBIGINT", *_BROKEN, "VARCHAR"),
    "DOUBLE": (*_WHOLE, "UBIGINT", *_BROKEN, "VARCHAR"),
    "TIMESTAMP": (*_MOMENTS, "VARCHAR"),
    "VARCHAR": (*_WHOLE, "UBIGINT", *_BROKEN, "VARCHAR"),
}
"""The types a file may hold for each declared one; a column that is all null has none."""


@dataclass(frozen=True)
class Plan:
    """How one raw file becomes its colour's schema; so far only its header has been read."""

    trips: TripMonth
    raw: Path
    sql: str
    """A query on the view `raw`."""
    columns: tuple[tuple[str, str], ...]
    """(name, DuckDB type) of the result."""
    missing: tuple[str, ...]
    """Declared columns that the file has not: null in the result."""
    undeclared: tuple[str, ...]
    """Columns of the file that nobody declared: kept as they are."""

    @property
    def notes(self) -> list[str]:
        """What a reader of the log should know of this file."""
        notes = []
        if self.missing:
            notes.append(f"not in the file, so null: {', '.join(self.missing)}")
        if self.undeclared:
            notes.append(f"undeclared, so kept as they are: {', '.join(self.undeclared)}")
        if any(name == "pickup_longitude" for name, _ in self.columns):
            notes.append("places are coordinates, not yet zones: zone ids are null")
        return notes

    def preview(self, rows: int = 3) -> str:
        """The first rows and the columns with their types, to be read by people."""
        with _reading(self.raw, threads=1) as db:
            head = db.execute(f"{self.sql} LIMIT {rows}").df()
        types = "\n".join(f"{name:24} {kind}" for name, kind in self.columns)
        return f"{head}\n\ncolumns:\n{types}"

    def write(self, target: Path) -> MonthReport:
        """Stream the month to `target` (Parquet, zstd), rows in the file's order.

        One thread: the order and the bytes are the same each time, and a second month can use
        the other core.
        """
        began = time.monotonic()
        with replacing(target) as part, _reading(self.raw, threads=1) as db:
            with watching(db, f"{self.trips} conform"), writing(target):
                done = db.execute(
                    f"COPY ({self.sql}) TO {literal(part)} (FORMAT parquet, COMPRESSION zstd)"
                ).fetchone()
            rows = int(done[0]) if done else 0
            self._check(rows, part)
            dirt = find_dirt(db, self.trips, part)
            size = part.stat().st_size
        return MonthReport(
            trips=self.trips,
            path=target,
            rows=rows,
            size=size,
            seconds=time.monotonic() - began,
            found={**dirt, "undeclared columns": ", ".join(self.undeclared) or 0},
        )

    def _check(self, rows: int, part: Path) -> None:
        """No row is dropped or doubled: what the footers say of both files is what was copied."""
        before = rows_in_footer(self.raw) if self.raw.suffix == ".parquet" else rows
        after = rows_in_footer(part)
        if not before == rows == after:
            raise Damaged(
                f"{self.raw.name} says it holds {before:,} rows, {rows:,} were read and "
                f"{after:,} written; nothing was kept"
            )


def conform(trips: TripMonth, raw: Path) -> Plan:
    """Match the columns of a raw file with those its colour declares.

    Raises BadSchema when a column every year has is not there, or has a type that cannot be.
    """
    found = _header(raw)
    by_name: dict[str, list[str]] = {}
    for name in found:
        by_name.setdefault(name.strip().lower(), []).append(name)
    columns, select, missing = [], [], []
    for column in trips.service.columns:
        wanted = dict.fromkeys(name.lower() for name in (column.name, *column.was))
        sources = [source for name in wanted for source in by_name.pop(name, [])]
        if not sources:
            if column.required:
                raise BadSchema(
                    f"{raw.name} has no column {column.name}, which every {trips.color} file has; "
                    f"it holds {', '.join(found)}"
                )
            if column.optional:
                continue
            missing.append(column.name)
        values = [_cast(column, source, found[source], raw) for source in sources]
        value = f"coalesce({', '.join(values)})" if values else f"CAST(NULL AS {column.type})"
        select.append(f"{value} AS {quoted(column.name)}")
        columns.append((column.name, str(column.type)))
    undeclared = [source for sources in by_name.values() for source in sources]
    for source in undeclared:
        kind = "VARCHAR" if _is_null(found[source]) else found[source]
        select.append(f"CAST({quoted(source)} AS {kind}) AS {quoted(source.strip())}")
        columns.append((source.strip(), kind))
    return Plan(
        trips,
        raw,
        f"SELECT {', '.join(select)} FROM {_RAW}{_nothing_unnamed(raw)}",
        tuple(columns),
        tuple(missing),
        tuple(name.strip() for name in undeclared),
    )


def _nothing_unnamed(raw: Path) -> str:
    """SQL that fails on a field that no column name stands for, unless it is blank."""
    unnamed = [] if raw.suffix == ".parquet" else _csv_fields(raw)[1]
    if not unnamed:
        return ""
    value = f"coalesce({', '.join(unnamed)})"
    return f" WHERE {value} IS NULL OR error('a field without a name holds ' || {value})"


def _is_null(kind: str) -> bool:
    return kind.strip('"') == "NULL"


def _cast(column: Column, source: str, kind: str, raw: Path) -> str:
    """SQL that turns one column of the file into the declared type, or fails on a bad value."""
    name = quoted(source)
    if _is_null(kind):
        return f"CAST(NULL AS {column.type})"
    if kind.partition("(")[0] not in _TAKES[column.type]:
        raise BadSchema(
            f"{raw.name} holds {column.name} as {kind}, from which no {column.type} can be made"
        )
    bad = f"error({literal(column.name)} || ' holds ' || CAST({name} AS VARCHAR))"
    if column.codes:
        key = f"lower(trim(CAST({name} AS VARCHAR)))"
        cases = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in column.codes.items())
        if kind == "VARCHAR" or column.type == "VARCHAR":
            name, kind = f"CASE {key} {cases} ELSE CAST({name} AS VARCHAR) END", "VARCHAR"
    if column.type == "VARCHAR":
        return f"CAST({name} AS VARCHAR)"
    if kind == "VARCHAR":
        blank = f"nullif(trim({name}), '')"
        via = "DOUBLE" if column.type == "BIGINT" else column.type
        parsed = (
            f"coalesce(TRY_CAST({blank} AS {via}), CASE WHEN {blank} IS NOT NULL THEN {bad} END)"
        )
        name, kind = (parsed, "DOUBLE") if column.type == "BIGINT" else (f"({parsed})", column.type)
    if column.type == "BIGINT" and kind.partition("(")[0] in _BROKEN:
        # NaN is how pandas once wrote a missing count.
        return (
            f"CASE WHEN TRY_CAST({name} AS BIGINT) = {name} THEN TRY_CAST({name} AS BIGINT) "
            f"WHEN {name} IS NOT NULL AND NOT isnan(CAST({name} AS DOUBLE)) THEN {bad} END"
        )
    return f"CAST({name} AS {column.type})"


def _header(raw: Path) -> dict[str, str]:
    """The columns of a raw file with their DuckDB types; those of a CSV are texts."""
    if raw.suffix != ".parquet":
        return dict.fromkeys(_csv_fields(raw)[0], "VARCHAR")
    with _reading(raw) as db:
        return {row[0]: row[1] for row in db.execute(f"DESCRIBE {_RAW}").fetchall()}


def _csv_fields(raw: Path) -> tuple[list[str], list[str]]:
    """The named columns of a CSV file, and made-up names for fields that have none.

    Rows of some files of 2014 to 2016 end in commas that no name stands for.
    """
    opener = gzip.open if raw.suffix == ".gz" else open
    with opener(raw, "rt", newline="") as file:
        lines = csv.reader(file)
        names = [name.strip() for name in next(lines, [])]
        first = next((fields for fields in lines if fields), names)
    return names, [f"unnamed_{n}" for n in range(1, len(first) - len(names) + 1)]


@contextmanager
def _reading(raw: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the raw file as the view `raw`; its complaints become one line of ours."""
    with open_duckdb(threads=threads) as db:
        try:
            if raw.suffix == ".parquet":
                file = f"read_parquet({literal(raw)}, binary_as_string = true)"
                db.execute(f"CREATE VIEW {_RAW} AS FROM {file}")
            else:
                db.register(_RAW, _csv_batches(raw))
            yield db
        except (duckdb.Error, pa.ArrowInvalid) as problem:
            raise _explained(problem, raw) from problem


def _csv_batches(raw: Path) -> pa.RecordBatchReader:
    """The rows of a CSV file as texts, blanks as nulls.

    Arrow's reader, not DuckDB's: it takes the mixed line ends of these files and yet refuses a
    row that has too few or too many fields.
    """
    names, unnamed = _csv_fields(raw)
    names += unnamed
    return pa_csv.open_csv(
        pa.input_stream(str(raw), compression="gzip" if raw.suffix == ".gz" else None),
        pa_csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )


def _explained(problem: Exception, raw: Path) -> Exception:
    """DuckDB's words as one line of ours: column, value and file."""
    first = str(problem).partition("\n")[0]
    what = first.partition("Error: ")[2] or first
    if " holds " in what or isinstance(problem, duckdb.ConversionException):
        return BadValue(
            f"{raw.name}: {what}, which does not fit the column's type; nothing was kept"
        )
    return Damaged(f"{raw.name} cannot be read to its end: {what}; nothing was kept")
