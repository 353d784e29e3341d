"""A raw file as DuckDB's view `raw`, Parquet or CSV."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv

from nyc_taxi.engine import Database, open_duckdb, parquet_sql
from nyc_taxi.errors import BadValue, CannotWrite, Damaged, NycTaxiError


def header(raw: Path) -> dict[str, str]:
    """The columns of a raw file with their DuckDB types; those of a CSV are texts."""
    if raw.suffix != ".parquet":
        return dict.fromkeys(_csv_fields(raw)[0], "VARCHAR")
    with reading(raw) as db:
        return {row[0]: row[1] for row in db.execute("DESCRIBE raw").fetchall()}


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


def nothing_unnamed(raw: Path) -> str:
    """SQL that fails on a field that no column name stands for, unless it is blank."""
    unnamed = [] if raw.suffix == ".parquet" else _csv_fields(raw)[1]
    if not unnamed:
        return ""
    value = f"coalesce({', '.join(unnamed)})"
    return f" WHERE {value} IS NULL OR error('a field without a name holds ' || {value})"


@contextmanager
def reading(raw: Path, threads: int | None = None) -> Iterator[Database]:
    """DuckDB with the raw file as the view `raw`; its complaints become one line of ours."""
    with open_duckdb(threads=threads) as db:
        try:
            if raw.suffix == ".parquet":
                db.execute(f"CREATE VIEW raw AS FROM {parquet_sql(raw, binary_as_string='true')}")
            else:
                db.register("raw", _csv_batches(raw))
            yield db
        except (duckdb.Error, pa.ArrowInvalid) as problem:
            raise explained(problem, raw) from problem


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


def explained(problem: Exception, raw: Path) -> NycTaxiError:
    """DuckDB's words as one line of ours: column, value and file."""
    # Arrow goes on with the text of the row, which is nobody's business.
    first = re.sub(r"(Expected \d+ columns, got \d+): .*", r"\1", str(problem).partition("\n")[0])
    what = first.partition("Error: ")[2] or first
    if isinstance(problem, duckdb.OutOfMemoryException):
        return CannotWrite(
            f"{raw.name} needs more memory than NYC_TAXI_MEMORY allows; set it higher"
        )
    if " holds " in what:
        return BadValue(f"{raw.name}: {what}; nothing was kept")
    if isinstance(problem, duckdb.ConversionException):
        return BadValue(
            f"{raw.name}: {what}, which does not fit the column's type; nothing was kept"
        )
    return Damaged(f"{raw.name} cannot be read to its end: {what}; nothing was kept")
