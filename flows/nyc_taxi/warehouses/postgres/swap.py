"""A month's rows: copied into a table of their own, which then takes the place of the old one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pyarrow as pa
from psycopg2.errors import LockNotAvailable

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.errors import LockTimeoutError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.duckdb_engine import Database as Engine
from nyc_taxi.storage.duckdb_engine import quoted
from nyc_taxi.storage.progress import progress_bar
from nyc_taxi.trips.comments import trips_comments
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.postgres.binary_copy import Feed, encoded
from nyc_taxi.warehouses.postgres.column_types import DUCKDB_TYPES, definitions
from nyc_taxi.warehouses.postgres.connection import Session, set_lock_timeout
from nyc_taxi.warehouses.postgres.tables import (
    Columns,
    Table,
    advisory_lock,
    month_columns,
    scalar,
)
from nyc_taxi.warehouses.postgres.views import comment, make_rides_views

BATCH_ROWS = 4096
"""Rows sent at a time: more of them cost memory and win nothing."""
SWAP_LOCK_TIMEOUT = 0.2
"""Seconds that readers may have to queue behind an exchange that itself waits for others."""


def load_partition(
    db: Session,
    file: Engine,
    trips: TripMonth,
    table: Table,
    new: Table,
    types: Columns,
) -> int:
    """Copy the trips into a table that nobody else can see yet, then index it."""
    columns = definitions({name.lower(): kind for name, kind in types.items()})
    # The default spares sending the month, the check spares ATTACH reading the table.
    db.execute(
        f"CREATE TABLE {new} (trip_month date NOT NULL DEFAULT DATE '{trips.first_day}' "
        f"CHECK (trip_month = DATE '{trips.first_day}'), {columns})"
    )
    # FREEZE: the rows never need a vacuum, and a reader whose snapshot is older than the
    # exchange sees them as well; without it, that one would see no such month.
    loaded = copy_rows(db, file, new, types, f"{trips} load", "FORMAT binary, FREEZE")
    db.execute(f"CREATE INDEX {new.name}_pickup ON {new} {_index_sql(db, trips, table)}")
    db.execute(f"ANALYZE {new}")
    return loaded


def copy_rows(
    db: Session,
    file: Engine,
    table: Table,
    types: Columns,
    label: str,
    options: str = "FORMAT binary",
) -> int:
    """Send the rows of the view `trips`."""
    [(expected,)] = file.execute("SELECT count(*) FROM trips").fetchall()
    select = ", ".join(
        f"CAST({quoted(n)} AS {DUCKDB_TYPES.get(kind, kind)}) AS {quoted(n)}"
        for n, kind in types.items()
    )
    names = ", ".join(quoted(name.lower()) for name in types)
    with progress_bar(label, expected) as advance:

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in file.sql(f"SELECT {select} FROM trips").to_arrow_reader(BATCH_ROWS):
                yield batch
                advance(len(batch))

        feed = Feed(encoded(batches()))
        try:
            db.copy(f"COPY {table} ({names}) FROM STDIN ({options})", feed)
        finally:
            feed.close()
            if feed.problem:
                raise feed.problem
    if db.rowcount != expected:
        raise StorageError(f"{table} took {db.rowcount} of {expected} rows; nothing was changed")
    return int(expected)


def _index_sql(db: Session, trips: TripMonth, table: Table) -> str:
    """The same kind of index for all months, as the table already has it."""
    db.execute(
        "SELECT opcname FROM pg_index JOIN pg_opclass o ON o.oid = indclass[0]"
        " WHERE indexrelid = to_regclass(%s)",
        [f"{table}_pickup"],
    )
    return brin_index_sql(trips.service.pickup, db.version, scalar(db))


def brin_index_sql(pickup: str, version: int, operators: str | None = None) -> str:
    """BRIN: the files are in the order of pickup, more or less, so that a few kilobytes say where
    an hour lies. The multi-minmax kind (from version 14 on) is not misled by the odd trip of 2008
    or 2041; the older kind reads a few more blocks for it."""
    operators = operators or f"timestamp_minmax_{'multi_' if version >= 14 else ''}ops"
    return f"USING brin ({pickup} {operators})"


def swap_partition(
    db: Session, trips: TripMonth, table: Table, new: Table, columns: Columns
) -> None:
    """Put the new table where the old one is, in a moment when nobody reads the months."""
    advisory_lock(db, table.schema)
    set_lock_timeout(db, SWAP_LOCK_TIMEOUT)
    deadline = time.monotonic() + settings().wait
    while True:
        db.execute("SAVEPOINT before_exchange")
        try:
            return _attach_partition(db, trips, table, new, columns)
        except LockNotAvailable:
            if time.monotonic() > deadline:
                raise LockTimeoutError(
                    f"{table} has been in use for {settings().wait:.0f} s without a pause; "
                    "close the transactions that read it and run this again"
                ) from None
            db.execute("ROLLBACK TO SAVEPOINT before_exchange")
        interruptible_sleep(SWAP_LOCK_TIMEOUT)


def _attach_partition(
    db: Session, trips: TripMonth, table: Table, new: Table, columns: Columns
) -> None:
    have = month_columns(db, table)
    new_table = have is None
    if have is None:
        db.execute(
            f"CREATE TABLE {table} (trip_month date NOT NULL, {definitions(columns)}) "
            "PARTITION BY LIST (trip_month)"
        )
        db.execute(f"CREATE INDEX {table.name}_pickup ON {table} {_index_sql(db, trips, table)}")
        have = {"trip_month": "date", **columns}
    for target, missing in (
        (table, {n: k for n, k in columns.items() if n not in have}),
        (new, {n: k for n, k in have.items() if n not in columns and n != "trip_month"}),
    ):
        for name, kind in missing.items():
            db.execute(f"ALTER TABLE {target} ADD COLUMN {quoted(name)} {kind}")
    comment(db, table, trips_comments(trips.color))
    if table.schema == DATASET:
        make_rides_views(db, renew=new_table)
    month = table.month(trips)
    db.execute(
        "SELECT 1 FROM pg_inherits"
        " WHERE inhrelid = to_regclass(%s) AND inhparent = to_regclass(%s)",
        [str(month), str(table)],
    )
    if db.fetchone():
        db.execute(f"DROP TABLE {month}")
    db.execute(f"ALTER TABLE {new} RENAME TO {month.name}")
    db.execute(f"ALTER INDEX {table.schema}.{new.name}_pickup RENAME TO {month.name}_pickup")
    db.execute(f"ALTER TABLE {table} ATTACH PARTITION {month} FOR VALUES IN ('{trips.first_day}')")
