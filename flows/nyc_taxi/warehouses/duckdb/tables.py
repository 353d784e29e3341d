"""Tables in the DuckDB file: columns, comments, views and the table `loads`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from nyc_taxi.errors import StorageError
from nyc_taxi.storage.duckdb_engine import Database, literal, parquet_sql, quoted
from nyc_taxi.trips.rides_view import TABLES, rides_views
from nyc_taxi.trips.schemas import INTEGER_TYPES, SERVICES
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.base import DATASET, MAX_EXACT, check_is_ours, check_names
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, LOADS_COMMENTS, Load, NewLoad

SAFE_WIDENINGS: dict[str, tuple[str, ...]] = {
    kind: (*INTEGER_TYPES[n:], "DOUBLE") for n, kind in enumerate(INTEGER_TYPES, 1)
} | {"FLOAT": ("DOUBLE",)}
"""Type in the file -> wider column types that store all of its values exactly (see MAX_EXACT)."""
_ACCEPTED_TYPES = re.compile(
    r"U?TINYINT|U?SMALLINT|U?INTEGER|BIGINT|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|BOOLEAN|DATE|VARCHAR|"
    r"TIMESTAMP(_S|_MS)?"
)
"""Types that every warehouse supports."""


def table_names(db: Database) -> set[str]:
    rows = db.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [DATASET]
    ).fetchall()
    return {row[0] for row in rows}


def exists(db: Database, table: str) -> bool:
    """Return whether there is a table or view `schema.name`."""
    found = "SELECT 1 FROM information_schema.tables WHERE (table_schema, table_name) = (?, ?)"
    return bool(db.execute(found, table.split(".")).fetchone())


def columns(db: Database, table: str) -> dict[str, tuple[str, str]]:
    """Return lower-case name -> (name, type)."""
    rows = db.execute(f"DESCRIBE {table}").fetchall()
    return {name.lower(): (name, kind) for name, kind, *_ in rows}


def file_types(db: Database, parquet: Path | str, is_month: bool = True) -> dict[str, str]:
    """Return column -> type of the file. Raises StorageError for names or types it rejects."""
    query = f"DESCRIBE FROM {parquet_sql(parquet)}"
    kinds = {name: kind for name, kind, *_ in db.execute(query).fetchall()}
    # Names from the file itself: DuckDB renames duplicates.
    check_names(pq.read_schema(parquet).names, parquet, is_month)
    for name, kind in kinds.items():
        if not _ACCEPTED_TYPES.fullmatch(kind):
            raise StorageError(
                f"{parquet} has {name} as {kind}, which not every warehouse supports; "
                "cast it to a number, BOOLEAN, DATE, TIMESTAMP or VARCHAR. Nothing was changed"
            )
    return kinds


def replace_rows(
    db: Database,
    table: str,
    key: Collection[str],
    rows: str,
    kinds: Mapping[str, str],
    where: str,
    is_declared: Callable[[str, str], bool] = lambda name, kind: True,
) -> int:
    """Replace the rows of a table that match `where` with the result of the query `rows`.

    `kinds` are the columns of the query, in its order, and their types. Creates the table, or adds
    the columns that it lacks. Only a column that is not declared may be wider in the table.
    Returns the number of rows. Raises StorageError for another type, or a table without `key`.
    """
    db.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {rows} LIMIT 0")
    check_is_ours(table, columns(db, table), key)
    [(expected,)] = db.execute(f"SELECT count(*) FROM ({rows})").fetchall()
    names = ", ".join(map(quoted, _add_columns(db, table, rows, kinds, is_declared)))
    db.execute(f"DELETE FROM {table} WHERE {where}")
    [(loaded,)] = db.execute(f"INSERT INTO {table} ({names}) {rows}").fetchall()
    if loaded != expected:
        raise StorageError(f"{table} received {loaded} of {expected} rows; nothing was changed")
    return int(loaded)


def _add_columns(
    db: Database,
    table: str,
    rows: str,
    kinds: Mapping[str, str],
    is_declared: Callable[[str, str], bool],
) -> list[str]:
    """Add missing columns; return the table's spelling of each column name."""
    have = columns(db, table)
    names = []
    for name, kind in kinds.items():
        column, existing = have.get(name.lower(), (name, None))
        names.append(column)
        if existing is None:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
        elif existing != kind and (
            is_declared(name, kind) or existing not in (*SAFE_WIDENINGS.get(kind, ()), "VARCHAR")
        ):
            raise StorageError(
                f"column {name} is {existing} in {table} but {kind} in the file; run ALTER TABLE "
                f"{table} ALTER COLUMN {quoted(name)} TYPE {kind}, or rename the table and reload "
                "its months"
            )
        elif (existing, kind) == ("DOUBLE", "BIGINT"):
            _check_exact(db, table, rows, name)
    return names


def _check_exact(db: Database, table: str, rows: str, name: str) -> None:
    beyond = f"FROM ({rows}) WHERE {quoted(name)} NOT BETWEEN -{MAX_EXACT} AND {MAX_EXACT}"
    bad = db.execute(f"SELECT {quoted(name)} {beyond} LIMIT 1").fetchone()
    if bad:
        raise StorageError(
            f"{table} has {name} as DOUBLE, which cannot store {bad[0]} exactly; run ALTER TABLE "
            f"{table} ALTER COLUMN {quoted(name)} TYPE BIGINT"
        )


def read_comments(db: Database, table: str) -> Comments:
    """Return the comments of a table or view and all of its columns."""
    schema, name = table.split(".")
    about = db.execute(
        "SELECT comment FROM duckdb_tables() WHERE (schema_name, table_name) = (?, ?)",
        [schema, name],
    ).fetchone()
    found = db.execute(
        "SELECT column_name, coalesce(comment, '') FROM duckdb_columns()"
        " WHERE (schema_name, table_name) = (?, ?)",
        [schema, name],
    ).fetchall()
    return Comments((about and about[0]) or "", dict(found))


def comment(
    db: Database, table: str, comments: Comments, kind: Literal["TABLE", "VIEW"] = "TABLE"
) -> None:
    """Write the comments that differ."""
    changes = comments.changes(read_comments(db, table))
    if changes.table:
        db.execute(f"COMMENT ON {kind} {table} IS {literal(changes.table)}")
    for name, text in changes.columns.items():
        db.execute(f"COMMENT ON COLUMN {table}.{quoted(name)} IS {literal(text)}")


def replace_rides_views(db: Database) -> None:
    """Create or update `rides` and `rides_labeled` over the tables that exist."""
    tables = {
        name: dict(columns(db, f"{DATASET}.{name}").values())
        for name in table_names(db).intersection(TABLES)
    }
    for view in rides_views(tables, lambda table: f"{DATASET}.{table}"):
        name = f"{DATASET}.{view.name}"
        db.execute(f"CREATE OR REPLACE VIEW {name} AS {view.query}")
        comment(db, name, view.comments, "VIEW")


def create_loads(db: Database) -> None:
    """Create the schema and the table `loads`, with the months that were loaded without it.

    It has no key: DuckDB refuses a key that the same transaction deletes and inserts again, if it
    also alters the table.
    """
    db.execute(f"CREATE SCHEMA IF NOT EXISTS {DATASET}")
    loads, there = f"{DATASET}.{LOADS}", table_names(db)
    if LOADS in there:
        return check_is_ours(loads, columns(db, loads), COLUMNS)
    db.execute(
        f"CREATE TABLE {loads} (table_name VARCHAR, trip_month DATE, row_count BIGINT,"
        " source_version VARCHAR, load_id VARCHAR, loaded_at TIMESTAMP)"
    )
    comment(db, loads, LOADS_COMMENTS)
    load = NewLoad(source_version=None)
    for table in there.intersection(f"{color}_rides" for color in SERVICES):
        if "trip_month" in columns(db, f"{DATASET}.{table}"):
            months = f"SELECT trip_month, count(*) FROM {DATASET}.{table} GROUP BY trip_month"
            for month, rows in db.execute(months).fetchall():
                record_load(db, load.row(table, month, rows))
    return None


def record_load(db: Database, load: Load) -> None:
    loads = f"{DATASET}.{LOADS}"
    db.execute(
        f"DELETE FROM {loads} WHERE table_name = ? AND trip_month = ?",
        [load.table_name, load.trip_month],
    )
    db.execute(
        f"INSERT INTO {loads} ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?)", astuple(load)
    )
