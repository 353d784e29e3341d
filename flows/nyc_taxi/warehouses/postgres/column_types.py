"""PostgreSQL types for the columns of a file, and how they fit an existing table."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from nyc_taxi.errors import StorageError
from nyc_taxi.storage.duckdb_engine import Database as Engine
from nyc_taxi.storage.duckdb_engine import quoted
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Color
from nyc_taxi.warehouses.base import DATASET, MAX_EXACT, check_names
from nyc_taxi.warehouses.postgres.tables import Columns, Table
from nyc_taxi.warehouses.postgres.views import DROP_VIEWS

_POSTGRES_TYPES = {
    **dict.fromkeys(("TINYINT", "UTINYINT", "SMALLINT"), "smallint"),
    **dict.fromkeys(("USMALLINT", "INTEGER"), "integer"),
    **dict.fromkeys(("UINTEGER", "BIGINT"), "bigint"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "double precision"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"), "timestamp without time zone"),
    "BOOLEAN": "boolean",
    "DATE": "date",
    "VARCHAR": "text",
}
"""DuckDB type -> PostgreSQL type. DECIMAL(p,s) becomes numeric(p,s)."""
DUCKDB_TYPES = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "double precision": "DOUBLE",
    "timestamp without time zone": "TIMESTAMP",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "text": "VARCHAR",
}
"""PostgreSQL type -> DuckDB type that values are cast to before they are sent."""
_NUMERIC_ORDER = ("smallint", "integer", "bigint", "double precision")
"""From narrow to wide."""
MAX_NAME_LENGTH = 63
"""Maximum bytes of a column name; PostgreSQL truncates longer ones."""
_SYSTEM_COLUMNS = ("ctid", "tableoid", "xmin", "xmax", "cmin", "cmax")


def postgres_types(file: Engine, parquet: Path | str, is_month: bool = True) -> Columns:
    """Return the PostgreSQL types of the columns of the view `trips`.

    Raises StorageError for names and types that PostgreSQL does not support.
    """
    found = {name: kind for name, kind, *_ in file.execute("DESCRIBE trips").fetchall()}
    # Names from the file itself: DuckDB renames duplicates.
    check_names(pq.read_schema(parquet).names, parquet, is_month)
    types = {}
    for name, kind in found.items():
        if len(name.lower().encode()) > MAX_NAME_LENGTH or name.lower() in _SYSTEM_COLUMNS:
            raise StorageError(
                f"{parquet} has a column {name!r}; PostgreSQL allows names of up to "
                f"{MAX_NAME_LENGTH} bytes, except {', '.join(_SYSTEM_COLUMNS)}. Nothing was changed"
            )
        wanted = _POSTGRES_TYPES.get(kind)
        if wanted is None and (precision := re.fullmatch(r"DECIMAL(\(\d+,\d+\))", kind)):
            wanted = f"numeric{precision[1]}"
        if wanted is None:
            raise StorageError(
                f"{parquet} has {name} as {kind}, which has no PostgreSQL type; cast it to one "
                f"of {', '.join((*_POSTGRES_TYPES, 'DECIMAL'))}. Nothing was changed"
            )
        types[name] = wanted
    return types


def definitions(columns: Columns) -> str:
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())


def check_color(trips: TripMonth, table: Table, types: Columns, have: Columns) -> None:
    """Raise StorageError if the table contains the trips of another color."""
    if _possible_colors(have) != _possible_colors(dict.fromkeys(map(str.lower, types), "")):
        raise StorageError(
            f"{table} does not contain {trips.color} trips; use another table for them"
        )


def resolve_types(
    file: Engine,
    table: Table,
    types: Columns,
    have: Columns,
    is_declared: Callable[[str, str], bool],
) -> Columns:
    """Return the type in which to send each column: the file's, or the table's if that is wider.

    `is_declared(name, DuckDB type)`: only other columns are widened, and only if the wider type
    stores every value exactly. Raises StorageError otherwise.
    """
    sent = {}
    for name, kind in types.items():
        existing = sent[name] = have.get(name.lower(), kind)
        if existing == kind:
            continue
        wider = _NUMERIC_ORDER[_NUMERIC_ORDER.index(kind) + 1 :] if kind in _NUMERIC_ORDER else ()
        declared = is_declared(name, DUCKDB_TYPES.get(kind, kind))
        if declared or existing not in (*wider, "text"):
            raise StorageError(
                f"column {name.lower()} is {existing} in {table} but {kind} in the file; run "
                + (f"{DROP_VIEWS}; " if table.schema == DATASET else "")
                + f"ALTER TABLE {table} ALTER COLUMN {_identifier(name.lower())} TYPE {kind}"
            )
        if existing == "double precision" and kind == "bigint":
            _check_exact(file, table, name)
    return sent


def _possible_colors(columns: Columns) -> set[Color]:
    """Return the colors whose trips a table with these columns may contain."""
    return {
        color
        for color, service in SERVICES.items()
        if all(c.name.lower() in columns for c in service.key_columns)
    }


def _check_exact(file: Engine, table: Table, name: str) -> None:
    beyond = f"{quoted(name)} NOT BETWEEN -{MAX_EXACT} AND {MAX_EXACT}"
    bad = file.execute(f"SELECT {quoted(name)} FROM trips WHERE {beyond} LIMIT 1").fetchone()
    if bad:
        raise StorageError(
            f"{table} has {name.lower()} as double precision, which cannot store {bad[0]} "
            f"exactly; run ALTER TABLE {table} "
            f"ALTER COLUMN {_identifier(name.lower())} TYPE bigint"
        )


def _identifier(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quoted(name)
