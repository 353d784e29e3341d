"""The table `loads` of a schema in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple

from nyc_taxi.warehouses.base import check_is_ours
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, LOADS_COMMENTS, Load, NewLoad
from nyc_taxi.warehouses.postgres.session import Session
from nyc_taxi.warehouses.postgres.tables import (
    Table,
    attributes,
    create_schema,
    find_oid,
)
from nyc_taxi.warehouses.postgres.views import comment


def create_loads(db: Session, schema: str, tables: Iterable[Table]) -> None:
    """Create the schema and its table `loads`, with the months of `tables` that are there."""
    loads = Table(schema, LOADS)
    if find_oid(db, loads) is None:
        create_schema(db, schema)  # and wait for another run that creates the table
    if have := attributes(db, loads):
        return check_is_ours(loads, have, COLUMNS)
    db.execute(
        f"CREATE TABLE {loads} (table_name text, trip_month date, row_count bigint NOT NULL,"
        " source_version text, load_id text NOT NULL, loaded_at timestamp NOT NULL,"
        " PRIMARY KEY (table_name, trip_month))"
    )
    comment(db, loads, LOADS_COMMENTS)
    load = NewLoad(source_version=None)
    for table in tables:
        if "trip_month" in attributes(db, table):
            db.execute(f"SELECT trip_month, count(*) FROM {table} GROUP BY trip_month")
            for month, rows in db.fetchall():
                record_load(db, schema, load.row(table.name, month, rows))
    return None


def record_load(db: Session, schema: str, load: Load) -> None:
    columns = [name for name in COLUMNS if name not in ("table_name", "trip_month")]
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns)
    db.execute(
        f"INSERT INTO {schema}.{LOADS} ({', '.join(COLUMNS)}) VALUES (%s, %s, %s, %s, %s, %s)"
        f" ON CONFLICT (table_name, trip_month) DO UPDATE SET {changes}",
        astuple(load),
    )
