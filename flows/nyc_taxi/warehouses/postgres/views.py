"""Views over the trips, and comments on tables, views and columns."""

from __future__ import annotations

from typing import Literal

from psycopg2.errors import InvalidTableDefinition

from nyc_taxi.storage.duckdb_engine import quoted
from nyc_taxi.trips.rides_view import TABLES, View, rides_views
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.postgres.session import Session
from nyc_taxi.warehouses.postgres.tables import Columns, Table, find_oid, scalar

VIEWS = ("rides_labeled", "rides")
DROP_VIEWS = f"DROP VIEW IF EXISTS {', '.join(f'{DATASET}.{view}' for view in VIEWS)}"
"""SQL to run before changing the type of a column that the views select. The next load recreates
them."""


def replace_rides_views(db: Session, replace_all: bool = False) -> None:
    """Create or replace the views that are missing or have other columns.

    `replace_all`: replace all of them, because they may not include a new table yet.
    """
    db.execute(
        "SELECT relname, attname, format_type(atttypid, atttypmod)"
        " FROM pg_class c JOIN pg_attribute ON attrelid = c.oid"
        " WHERE relnamespace = to_regnamespace(%s) AND relname = ANY(%s)"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [DATASET, [*TABLES, *VIEWS]],
    )
    tables: dict[str, Columns] = {}
    for table, column, kind in db.fetchall():
        tables.setdefault(table, {})[column] = kind
    for view in rides_views(tables, lambda table: f"{DATASET}.{table}"):
        shown = [name.lower() for name in view.comments.columns]
        if replace_all or list(tables.get(view.name, {})) != shown:
            _replace_view(db, view)
        comment(db, Table(DATASET, view.name), view.comments, "VIEW")


def drop_dependent_view(db: Session, table: Table) -> None:
    """Drop `rides_labeled` before a table that it reads is dropped."""
    if table.schema == DATASET and table.name in TABLES:
        db.execute(f"DROP VIEW IF EXISTS {DATASET}.rides_labeled")


def _replace_view(db: Session, view: View) -> None:
    name = f"{DATASET}.{view.name}"
    db.execute("SAVEPOINT before_view")
    try:
        db.execute(f"CREATE OR REPLACE VIEW {name} AS {view.query}")
    except InvalidTableDefinition:  # a column is gone, or of another type
        db.execute(f"ROLLBACK TO SAVEPOINT before_view; DROP VIEW {name}")
        db.execute(f"CREATE VIEW {name} AS {view.query}")


def read_comments(db: Session, table: Table) -> Comments:
    """Return the comments of a table or view and all of its columns; none if it does not exist."""
    oid = find_oid(db, table)
    db.execute("SELECT obj_description(%s, 'pg_class')", [oid])
    about = scalar(db) or ""
    db.execute(
        "SELECT attname, coalesce(col_description(attrelid, attnum), '') FROM pg_attribute"
        " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
        [oid],
    )
    return Comments(about, dict(db.fetchall()))


def comment(
    db: Session, table: Table, comments: Comments, kind: Literal["TABLE", "VIEW"] = "TABLE"
) -> None:
    """Write the comments that differ."""
    changes = comments.changes(read_comments(db, table))
    if changes.table:
        db.execute(f"COMMENT ON {kind} {table} IS %s", [changes.table])
    for name, text in changes.columns.items():
        column = quoted(name).replace("%", "%%")
        db.execute(f"COMMENT ON COLUMN {table}.{column} IS %s", [text])
