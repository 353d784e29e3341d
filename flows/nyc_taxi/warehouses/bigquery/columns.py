"""Columns of a Parquet file as BigQuery's: names, types and descriptions."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery import SchemaField, Table

from nyc_taxi.errors import StorageError
from nyc_taxi.storage.google import one_line
from nyc_taxi.storage.parquet_metadata import source_version
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.base import check_names

MAX_NAME_LENGTH = 300
"""Maximum characters of a column name."""
_RESERVED_PREFIXES = (
    *("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER"),
    *("_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP"),
)
"""Prefixes that BigQuery reserves in column names, in any case; see also _is_valid_name:
https://cloud.google.com/bigquery/docs/schemas#flexible-column-names"""
_SQL_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""The API's legacy type names -> SQL type names."""


@dataclass(frozen=True)
class Footer:
    """Contents of the footer of a Parquet file."""

    rows: int
    columns: list[SchemaField]
    source_version: str | None


def read_footer(file: BinaryIO, parquet: Path | str, is_month: bool = True) -> Footer:
    """Read the footer of a Parquet file; `parquet` is the name for messages.

    Raises StorageError for names and types that BigQuery does not support.
    """
    try:
        with pq.ParquetFile(file) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
    except pa.ArrowInvalid as problem:
        raise StorageError(f"{parquet} is not a Parquet file: {one_line(problem)}") from problem
    check_names(schema.names, parquet, is_month)
    for name in schema.names:
        if not _is_valid_name(name):
            raise StorageError(
                f"{parquet} has a column {name!r}; BigQuery allows up to {MAX_NAME_LENGTH} "
                "letters, digits, _, - and & % = + : ' < > # |, and no name that begins with "
                f"{', '.join(_RESERVED_PREFIXES)}. Nothing was changed"
            )
    columns = [SchemaField(field.name, _bigquery_type(field, parquet)) for field in schema]
    return Footer(metadata.num_rows, columns, source_version(metadata))


def sql_types(table: Table) -> dict[str, str]:
    """Return lower-case name -> SQL type of a table's columns."""
    return {f.name.lower(): _SQL_TYPES.get(f.field_type, f.field_type) for f in table.schema}


def comments_of(table: Table) -> Comments:
    """Return the descriptions of a table or view and all of its columns."""
    columns = {field.name: field.description or "" for field in table.schema}
    return Comments(table.description or "", columns)


def described(schema: Iterable[SchemaField], comments: Comments) -> list[SchemaField]:
    """Return the columns with these descriptions; the others keep their own."""
    texts = {name.lower(): text for name, text in comments.columns.items() if text}
    return [
        SchemaField.from_api_repr(
            field.to_api_repr()
            | ({"description": texts[name]} if (name := field.name.lower()) in texts else {})
        )
        for field in schema
    ]


def _is_valid_name(name: str) -> bool:
    """Return whether BigQuery allows the column name."""
    kinds = {unicodedata.category(sign) for sign in set(name) - set("&%=+:'<>#| ")}
    allowed = all(kind[0] in "LNM" or kind in ("Pc", "Pd") for kind in kinds)
    return (
        allowed and len(name) <= MAX_NAME_LENGTH and not name.upper().startswith(_RESERVED_PREFIXES)
    )


def _bigquery_type(field: pa.Field, parquet: Path | str) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_decimal(kind):
        digits = kind.precision - kind.scale
        if 0 <= kind.scale <= 9 and digits <= 29:
            return "NUMERIC"
        if 0 <= kind.scale <= 38 and digits <= 38:
            return "BIGNUMERIC"
    kinds: dict[str, Callable[[pa.DataType], bool]] = {
        "INT64": lambda kind: pa.types.is_integer(kind) and kind != pa.uint64(),
        "FLOAT64": pa.types.is_floating,
        "DATETIME": lambda kind: pa.types.is_timestamp(kind) and kind.tz is None,
        "TIMESTAMP": pa.types.is_timestamp,
        "DATE": pa.types.is_date32,
        "BOOL": pa.types.is_boolean,
        "STRING": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    }
    for name, is_kind in kinds.items():
        if is_kind(kind):
            return name
    raise StorageError(
        f"{parquet} has {field.name} as {field.type}, which BigQuery does not support"
    )
