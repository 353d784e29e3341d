"""Copy a month into a staging table, then swap it in as a partition."""

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
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import trips_comments
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.postgres.binary_copy import Feed, encode
from nyc_taxi.warehouses.postgres.column_types import DUCKDB_TYPES, definitions
from nyc_taxi.warehouses.postgres.session import Session, set_lock_timeout
from nyc_taxi.warehouses.postgres.tables import (
    Columns,
    Table,
    advisory_lock,
    partitioned_columns,
    scalar,
)
from nyc_taxi.warehouses.postgres.views import comment, replace_rides_views

BATCH_ROWS = 4096
"""Rows per batch; larger batches use more memory and are not faster."""
SWAP_LOCK_TIMEOUT = 0.2
"""Lock timeout in seconds per swap attempt; limits how long readers queue behind a swap."""


def load_partition(
    db: Session,
    file: Engine,
    trips: TripMonth,
    table: Table,
    staging: Table,
    types: Columns,
) -> int:
    """Create the staging table, copy the trips into it, then index and analyze it."""
    columns = definitions({name.lower(): kind for name, kind in types.items()})
    # The default avoids sending the month with every row; the CHECK lets ATTACH skip its
    # validation scan.
    db.execute(
        f"CREATE TABLE {staging} (trip_month date NOT NULL DEFAULT DATE '{trips.first_day}' "
        f"CHECK (trip_month = DATE '{trips.first_day}'), {columns})"
    )
    # FREEZE: the rows need no vacuum and are visible to snapshots older than the swap, which
    # would otherwise see an empty month.
    loaded = copy_rows(db, file, staging, types, f"{trips} load", "FORMAT binary, FREEZE")
    db.execute(f"CREATE INDEX {staging.name}_pickup ON {staging} {_index_sql(db, trips, table)}")
    db.execute(f"ANALYZE {staging}")
    return loaded


def copy_rows(
    db: Session,
    file: Engine,
    table: Table,
    types: Columns,
    label: str,
    options: str = "FORMAT binary",
) -> int:
    """Copy the rows of the view `trips` into the table; returns their number."""
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

        feed = Feed(encode(batches()))
        try:
            db.copy(f"COPY {table} ({names}) FROM STDIN ({options})", feed)
        finally:
            feed.close()
            if feed.problem:
                raise feed.problem
    if db.rowcount != expected:
        raise StorageError(
            f"{table} received {db.rowcount} of {expected} rows; nothing was changed"
        )
    return int(expected)


def _index_sql(db: Session, trips: TripMonth, table: Table) -> str:
    """Return the USING clause of the index; it must match the index that the table already has."""
    db.execute(
        "SELECT opcname FROM pg_index JOIN pg_opclass o ON o.oid = indclass[0]"
        " WHERE indexrelid = to_regclass(%s)",
        [f"{table}_pickup"],
    )
    return brin_index_sql(trips.service.pickup, db.version, scalar(db))


def brin_index_sql(pickup: str, version: int, operators: str | None = None) -> str:
    """Return the USING clause of a BRIN index on the pickup time.

    Files are roughly sorted by pickup time, so a BRIN index is small and selective.
    From version 14 on it uses multi-minmax, which tolerates outliers such as a pickup in 2041.
    """
    operators = operators or f"timestamp_minmax_{'multi_' if version >= 14 else ''}ops"
    return f"USING brin ({pickup} {operators})"


def swap_partition(
    db: Session, trips: TripMonth, table: Table, staging: Table, columns: Columns
) -> None:
    """Swap the staging table in as the month's partition; retry while readers hold locks."""
    advisory_lock(db, table.schema)
    set_lock_timeout(db, SWAP_LOCK_TIMEOUT)
    deadline = time.monotonic() + settings().wait
    while True:
        db.execute("SAVEPOINT before_swap")
        try:
            return _attach_partition(db, trips, table, staging, columns)
        except LockNotAvailable:
            if time.monotonic() > deadline:
                raise LockTimeoutError(
                    f"{table} has been locked by other sessions for {settings().wait:.0f} s; "
                    "close their transactions and rerun"
                ) from None
            db.execute("ROLLBACK TO SAVEPOINT before_swap")
        interruptible_sleep(SWAP_LOCK_TIMEOUT)


def _attach_partition(
    db: Session, trips: TripMonth, table: Table, staging: Table, columns: Columns
) -> None:
    have = partitioned_columns(db, table)
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
        (staging, {n: k for n, k in have.items() if n not in columns and n != "trip_month"}),
    ):
        for name, kind in missing.items():
            db.execute(f"ALTER TABLE {target} ADD COLUMN {quoted(name)} {kind}")
    comment(db, table, trips_comments(trips.color))
    if table.schema == DATASET:
        replace_rides_views(db, replace_all=new_table)
    month = table.partition(trips)
    db.execute(
        "SELECT 1 FROM pg_inherits"
        " WHERE inhrelid = to_regclass(%s) AND inhparent = to_regclass(%s)",
        [str(month), str(table)],
    )
    if db.fetchone():
        db.execute(f"DROP TABLE {month}")
    db.execute(f"ALTER TABLE {staging} RENAME TO {month.name}")
    db.execute(f"ALTER INDEX {table.schema}.{staging.name}_pickup RENAME TO {month.name}_pickup")
    db.execute(f"ALTER TABLE {table} ATTACH PARTITION {month} FOR VALUES IN ('{trips.first_day}')")
