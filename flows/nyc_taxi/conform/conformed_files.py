"""Check that a file of the lake was written by `conform`, from its footer alone."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.conform.column_names import check_names, normalize_name
from nyc_taxi.conform.column_rules import EMPTY_RULES, Rules
from nyc_taxi.conform.trip_column_rules import rides_table
from nyc_taxi.errors import SchemaMismatchError, StorageError
from nyc_taxi.trips.months import TripMonth

_TYPES: dict[pa.DataType, str] = {
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us"): "TIMESTAMP",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
}


def check_conformed(file: BinaryIO, trips: TripMonth, rules: Rules = EMPTY_RULES) -> None:
    """Raise an error unless the file has the columns and types that `conform` gives the month.

    A file of another program is rejected even if its schema matches: it may contain NaN, or other
    spellings of flags. Only the footer is read, since the file may be in a cloud.
    """
    advice = (
        f"run flows/etl_web_to_gcs.py --color {trips.color} --year {trips.year} "
        f"--month {trips.month} to replace it"
    )
    try:
        with pq.ParquetFile(file) as parquet:
            schema, writer = parquet.schema_arrow, parquet.metadata.created_by or "another program"
    except (pa.ArrowException, OSError) as error:
        raise StorageError(
            f"the lake's {trips.key} is not a complete Parquet file "
            f"({str(error).splitlines()[0][:120]}); {advice}"
        ) from error
    if problem := _problem(schema, trips, rules):
        raise SchemaMismatchError(
            f"the lake's {trips.key} was not written by these flows: {problem}; {advice}"
        )
    if not writer.startswith("DuckDB"):
        raise SchemaMismatchError(
            f"the lake's {trips.key} was written by {writer[:60]}, not by these flows; {advice}"
        )
    check_names(schema.names, f"the lake's {trips.key}")


def _problem(schema: pa.Schema, trips: TripMonth, rules: Rules) -> str | None:
    table = rides_table(trips.color)
    kinds = {normalize_name(f.name): _TYPES.get(f.type, str(f.type)) for f in schema}
    for column in trips.service.columns:
        expected = rules.result_type(table, column.name, column.type)
        kind = kinds.pop(normalize_name(column.name), None)
        if kind is None and expected and not column.optional:
            return f"it has no column {column.name}"
        if kind is not None and kind != expected:
            return f"its {column.name} is {kind}, not {expected or 'dropped by the rules'}"
    for name, kind in kinds.items():
        expected = rules.result_type(table, name, kind)
        if kind != expected:
            return (
                f"its undeclared column {name} is {kind}, not {expected or 'dropped by the rules'}"
            )
        if kind not in _TYPES.values():
            return f"its undeclared column {name} is {kind}"
    return None
