"""Whether a file of the lake is what `conform` writes, judged by its footer alone."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.conform.column_names import check_names, normalize_name
from nyc_taxi.conform.column_rules import EMPTY_RULES, Rules
from nyc_taxi.conform.trip_column_rules import table
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

    Another writer's file may also hold NaN, or flags in other spellings: it is refused too. Only
    the footer is read, which may be in a cloud.
    """
    again = (
        f"run flows/etl_web_to_gcs.py --color {trips.color} --year {trips.year} "
        f"--month {trips.month} to replace it"
    )
    try:
        with pq.ParquetFile(file) as parquet:
            schema, writer = parquet.schema_arrow, parquet.metadata.created_by or "another program"
    except (pa.ArrowException, OSError) as error:
        raise StorageError(
            f"the lake's {trips.key} is not a complete Parquet file "
            f"({str(error).splitlines()[0][:120]}); {again}"
        ) from error
    if problem := _problem(schema, trips, rules):
        raise SchemaMismatchError(
            f"the lake's {trips.key} was not written by these flows: {problem}; {again}"
        )
    if not writer.startswith("DuckDB"):
        raise SchemaMismatchError(
            f"the lake's {trips.key} was written by {writer[:60]}, not by these flows; {again}"
        )
    check_names(schema.names, f"the lake's {trips.key}")


def _problem(schema: pa.Schema, trips: TripMonth, rules: Rules) -> str | None:
    rides = table(trips.color)
    kinds = {normalize_name(f.name): _TYPES.get(f.type, str(f.type)) for f in schema}
    for column in trips.service.columns:
        wanted = rules.result(rides, column.name, column.type)
        kind = kinds.pop(normalize_name(column.name), None)
        if kind is None and wanted and not column.optional:
            return f"it has no column {column.name}"
        if kind is not None and kind != wanted:
            return f"its {column.name} is {kind}, not {wanted or 'dropped by the rules'}"
    for name, kind in kinds.items():
        wanted = rules.result(rides, name, kind)
        if kind not in _TYPES.values() or kind != wanted:
            return f"its undeclared column {name} is {kind}" + (
                f", not {wanted or 'dropped by the rules'}" if kind != wanted else ""
            )
    return None
