"""Hourly tables in PostgreSQL: replace a range of hours in one transaction."""

from __future__ import annotations

from nyc_taxi.storage.duckdb_engine import Database as Engine
from nyc_taxi.storage.duckdb_engine import quoted
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.base import check_is_ours
from nyc_taxi.warehouses.hours import KEY, Hours
from nyc_taxi.warehouses.loads import NewLoad
from nyc_taxi.warehouses.postgres.column_types import definitions, resolve_types
from nyc_taxi.warehouses.postgres.loads import record_load
from nyc_taxi.warehouses.postgres.session import Session
from nyc_taxi.warehouses.postgres.swap import copy_rows
from nyc_taxi.warehouses.postgres.tables import (
    Columns,
    Table,
    advisory_lock,
    attributes,
    find_oid,
    scalar,
)
from nyc_taxi.warehouses.postgres.views import comment

_WITHIN = "time_utc >= %s AND time_utc < %s"


def replace_hours(
    db: Session, file: Engine, table: Table, types: Columns, hours: Hours, comments: Comments
) -> int:
    """Replace the hours with the rows of the view `trips`; returns the number of rows.

    Loads of the same table wait for each other. Readers see the old hours until the commit, and
    wait only while a column is added.
    """
    advisory_lock(db, str(table))
    _create_or_widen(db, file, table, types)
    db.execute(f"DELETE FROM {table} WHERE {_WITHIN}", [hours.first, hours.last])
    rows = copy_rows(db, file, table, types, f"{table.name} load")
    comment(db, table, comments)
    return rows


def record_hours(db: Session, table: Table, hours: Hours, load: NewLoad) -> None:
    for month in hours.months():
        db.execute(f"SELECT count(*) FROM {table} WHERE {_WITHIN}", [month.first, month.last])
        record_load(db, table.schema, load.row(table.name, month.first_day, scalar(db)))


def _create_or_widen(db: Session, file: Engine, table: Table, types: Columns) -> None:
    columns = {name.lower(): kind for name, kind in types.items()}
    if find_oid(db, table) is None:
        # The order of the key serves ranges of hours.
        db.execute(
            f"CREATE TABLE {table} ({definitions(columns)}, PRIMARY KEY (time_utc, location))"
        )
        return
    have = attributes(db, table)
    check_is_ours(table, have, KEY)
    resolve_types(file, table, types, have, lambda name, kind: True)
    for name, kind in columns.items():
        if name not in have:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
