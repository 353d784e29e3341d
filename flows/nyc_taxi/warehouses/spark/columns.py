"""Columns of a Parquet file as Iceberg's, and how they fit an existing table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import StorageError
from nyc_taxi.storage.parquet_metadata import source_version
from nyc_taxi.storage.webhdfs import open_uri
from nyc_taxi.warehouses.base import MAX_EXACT, check_names

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_TYPES = {
    **dict.fromkeys((pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32()), "int"),
    **dict.fromkeys((pa.uint32(), pa.int64()), "bigint"),
    **dict.fromkeys((pa.float32(), pa.float64()), "double"),
    **dict.fromkeys((pa.string(), pa.large_string(), pa.null()), "string"),
    **dict.fromkeys(map(pa.timestamp, ("s", "ms", "us")), "timestamp_ntz"),
    pa.bool_(): "boolean",
    pa.date32(): "date",
}
"""Arrow type -> Spark type. DECIMAL(p,s) becomes decimal(p,s)."""
_WIDER = {"int": ("bigint", "double", "string"), "bigint": ("double", "string")}
"""Type in the file -> types of an undeclared column of the table that can hold its values."""
Types = Mapping[str, str]
"""Column -> Spark type."""


@dataclass(frozen=True)
class Footer:
    """What the footer of a Parquet file says."""

    rows: int
    types: Types
    source_version: str | None


def open_remote(parquet: Path | str) -> BinaryIO | None:
    """Open a file of HDFS, which Arrow cannot read by itself; None for a local file."""
    return open_uri(str(parquet)) if str(parquet).startswith("hdfs://") else None


def read_footer(parquet: Path | str, is_month: bool = True) -> Footer:
    """Raise StorageError for names and types that not every warehouse supports."""
    try:
        with pq.ParquetFile(open_remote(parquet) or parquet) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
    except pa.ArrowInvalid as problem:
        raise StorageError(
            f"{parquet} is not a Parquet file: {str(problem).splitlines()[0]}"
        ) from problem
    check_names(schema.names, parquet, is_month)
    types = {field.name: _spark_type(field, parquet) for field in schema}
    return Footer(metadata.num_rows, types, source_version(metadata))


def _spark_type(field: pa.Field, parquet: Path | str) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if kind not in _TYPES:
        raise StorageError(
            f"{parquet} has {field.name} as {kind}, which not every warehouse supports; "
            "cast it to a number, BOOLEAN, DATE, TIMESTAMP or VARCHAR. Nothing was changed"
        )
    return _TYPES[kind]


def check_types(
    table: str, given: Types, have: Types, is_declared: Callable[[str, str], bool]
) -> None:
    """Raise StorageError for a column whose type in the table cannot hold the file's values.

    `have`: by lower-case name. Only a column that is not declared may be wider in the table.
    """
    for name, kind in given.items():
        existing = have.get(name.lower(), kind)
        allowed = () if is_declared(name, kind) else (*_WIDER.get(kind, ()), "string")
        if existing != kind and existing not in allowed:
            raise StorageError(
                f"column {name} is {existing} in {table} but {kind} in the file; run "
                f"ALTER TABLE {table} RENAME TO {table}_old, then reload its months"
            )


def cast_to(frame: DataFrame, given: Types, have: Types, table: str) -> DataFrame:
    """Return the columns of the file with the table's types. Raises StorageError for an integer
    that a DOUBLE column cannot store exactly.
    """
    from pyspark.sql import functions as F

    sent = {name: have.get(name.lower(), kind) for name, kind in given.items()}
    for name, kind in sent.items():
        if (given[name], kind) == ("bigint", "double"):
            column = F.col(quoted(name))
            bad = frame.where(~column.between(-MAX_EXACT, MAX_EXACT)).select(column).first()
            if bad:
                raise StorageError(
                    f"{table} has {name} as double, which cannot store {bad[0]} exactly; "
                    f"run ALTER TABLE {table} RENAME TO {table}_old, then reload its months"
                )
    return frame.select(
        *(F.col(quoted(name)).cast(kind).alias(name) for name, kind in sent.items())
    )


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def literal(text: object) -> str:
    escaped = str(text).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
