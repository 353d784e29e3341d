"""A warehouse in PostgreSQL: tables partitioned by month, each month in a table of its own.

A month is copied into a new table, which then takes the place of the old one: both in one
transaction, so a reader sees the old month or the new one. The readers' table is locked for the
exchange alone, and only while nobody reads it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from psycopg2.errors import InvalidTableDefinition, LockNotAvailable
from psycopg2.extensions import cursor

from nyc_taxi.colors import RIDES, SERVICES, WHOLE, Color, Type, rides_sql
from nyc_taxi.engine import Database as Engine
from nyc_taxi.engine import open_duckdb, parquet_sql, quoted
from nyc_taxi.errors import BadInput, Busy, StoreError
from nyc_taxi.months import TripMonth
from nyc_taxi.pgcopy import Feed, encoded
from nyc_taxi.postgres import Database, find_database, wait_for_locks
from nyc_taxi.progress import bar
from nyc_taxi.settings import settings
from nyc_taxi.transform import EVERY_TRIP, filled
from nyc_taxi.warehouses import DATASET, small_table

BATCH = 4096
"""Rows sent at a time: more of them cost memory and win nothing."""
AT_ONCE = 0.2
"""Seconds that readers may have to queue behind an exchange that itself waits for others."""
TYPES: dict[Type, str] = {
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "TIMESTAMP": "timestamp without time zone",
    "VARCHAR": "text",
}
_KINDS: dict[str, Type] = {
    **dict.fromkeys(("TINYINT", "SMALLINT"), "SMALLINT"),
    **dict.fromkeys(("USMALLINT", "INTEGER"), "INTEGER"),
    **dict.fromkeys(("UINTEGER", "BIGINT"), "BIGINT"),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "DOUBLE"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
}
"""For the columns that nobody declared; what is not here becomes text."""
VIEW = f"{DATASET}.rides"
Columns = dict[str, str]
"""Lower-case names and their PostgreSQL types."""


@dataclass(frozen=True)
class Table:
    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @staticmethod
    def named(text: str) -> Table:
        """`trips` (in the schema public) or `schema.trips`."""
        schema, _, name = text.rpartition(".")
        table = Table(schema or "public", name)
        if not all(re.fullmatch(r"[a-z_][a-z0-9_]{0,39}", part) for part in (table.schema, name)):
            raise BadInput(
                f"a table cannot be called {text!r} here; use up to 40 lower-case letters, "
                "digits and _, such as yellow_taxi_trips or myschema.yellow_taxi_trips"
            )
        return table

    def month(self, trips: TripMonth) -> Table:
        return Table(self.schema, f"{self.name}_{trips.first_day:%Y_%m}")


class PostgresWarehouse:
    reads: tuple[str, ...] = ()

    def __init__(self, database: Database, table: Table | None = None) -> None:
        self.database = database
        self.table = table
        """Takes the months instead of `dezoomcamp.<color>_rides`."""

    def replace_month(
        self,
        trips: TripMonth,
        parquet: Path | str,
        fill: Mapping[str, int],
        only: str = EVERY_TRIP,
    ) -> int:
        """`only`: the SQL that is true of the trips to load."""
        table = self._table(trips.color)
        with open_duckdb(threads=1) as file:
            file.execute(
                f"CREATE VIEW trips AS SELECT {filled(fill)} FROM {parquet_sql(parquet)} "
                f"WHERE {only}"
            )
            with self.database.session() as db:
                _make_schema(db, table.schema)
            with self.database.session() as db:
                _hold(db, f"{table.month(trips)}")
                kinds = _kinds(file, trips, table, _columns(db, table))
                new = Table(table.schema, f"{table.month(trips).name}_new")
                loaded = _load(db, file, trips, new, kinds)
                _exchange(db, trips, table, new, {n.lower(): TYPES[k] for n, k in kinds.items()})
        return loaded

    def replace_table(self, name: str, parquet: Path | str) -> int:
        """Where the columns are the same the table stays, and so do its indexes and rights."""
        table = Table.named(small_table(name))
        with open_duckdb(threads=1) as file:
            file.execute(f"CREATE VIEW trips AS FROM {parquet_sql(parquet)}")
            kinds = _types(file)
            columns = {n.lower(): TYPES[kind] for n, kind in kinds.items()}
            with self.database.session() as db:
                _make_schema(db, table.schema)
            with self.database.session() as db:
                _hold(db, str(table))
                if _attributes(db, table) == columns:
                    db.execute(f"DELETE FROM {table}")
                else:
                    db.execute(f"DROP TABLE IF EXISTS {table}")
                    db.execute(f"CREATE TABLE {table} ({_definitions(columns)})")
                return _copy(db, file, table, kinds, f"{name} load")

    def count(self, trips: TripMonth) -> int:
        table = self._table(trips.color)
        with self.database.session() as db:
            if _columns(db, table) is None:
                return 0
            db.execute(f"SELECT count(*) FROM {table} WHERE trip_month = %s", [trips.first_day])
            return int(_one(db))

    def check(self) -> str:
        with self.database.session() as db:
            db.execute("SELECT version()")
            return f"{_one(db).partition(' on ')[0]} answers"

    def _table(self, color: Color) -> Table:
        return self.table or Table(DATASET, f"{color}_rides")


def _one(db: cursor) -> Any:
    row = db.fetchone()
    return row[0] if row else None


def _hold(db: cursor, what: str) -> None:
    """Keep other loads away from `what` until the transaction ends; readers need no such thing."""
    db.execute("SELECT pg_advisory_xact_lock(hashtext('nyc_taxi'), hashtext(%s))", [what])


def _make_schema(db: cursor, schema: str) -> None:
    _hold(db, schema)
    db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    if _one(db) is None:
        db.execute(f"CREATE SCHEMA {schema}")


def _columns(db: cursor, table: Table) -> Columns | None:
    """The columns of the table, None where there is none. Refuses a table of another shape."""
    oid = _find(db, table)
    if oid is None:
        return None
    db.execute(
        "SELECT (SELECT pg_get_partkeydef(partrelid) FROM pg_partitioned_table"
        " WHERE partrelid = %s)",
        [oid],
    )
    if _one(db) != "LIST (trip_month)":
        raise StoreError(
            f"{table} is not partitioned by trip_month, so these flows did not make it; "
            "rename it, or choose another name for the months"
        )
    return _attributes(db, table)


def _find(db: cursor, table: Table) -> int | None:
    # Not to_regclass: it may go by what this session has looked up before another made the table.
    db.execute(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = %s AND relname = %s",
        [table.schema, table.name],
    )
    oid: int | None = _one(db)
    return oid


def _attributes(db: cursor, table: Table) -> Columns:
    db.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [_find(db, table)],
    )
    return dict(db.fetchall())


def _holds(columns: Columns) -> set[Color]:
    """The colours whose trips could be in a table with these columns."""
    return {
        color
        for color, service in SERVICES.items()
        if all(c.name.lower() in columns for c in service.kept)
    }


def _types(file: Engine) -> dict[str, Type]:
    return {
        name: _KINDS.get(kind.partition("(")[0], "VARCHAR")
        for name, kind, *_ in file.execute("DESCRIBE trips").fetchall()
    }


def _definitions(columns: Columns) -> str:
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())


def _kinds(file: Engine, trips: TripMonth, table: Table, have: Columns | None) -> dict[str, Type]:
    """The type each column of the file is sent as: its own, or the wider one of the table."""
    kinds = _types(file)
    if have is None:
        return kinds
    if _holds(have) != _holds(dict.fromkeys(map(str.lower, kinds), "")):
        raise StoreError(
            f"{table} does not hold {trips.color} trips; choose another name for their table"
        )
    for name, kind in kinds.items():
        there = have.get(name.lower(), TYPES[kind])
        wider = WHOLE[WHOLE.index(kind) + 1 :] + ("DOUBLE",) if kind in WHOLE else ()
        taken = {TYPES[k]: k for k in (kind, *wider, "VARCHAR")}
        if there not in taken:
            raise StoreError(
                f"{table} holds {name.lower()} as {there}, the file as {TYPES[kind]}; run "
                + (f"DROP VIEW IF EXISTS {VIEW}; " if table.schema == DATASET else "")
                + f"ALTER TABLE {table} ALTER COLUMN {name.lower()} TYPE {TYPES[kind]}"
            )
        kinds[name] = taken[there]
    return kinds


def _load(
    db: cursor,
    file: Engine,
    trips: TripMonth,
    new: Table,
    kinds: Mapping[str, Type],
) -> int:
    """Copy the trips into a table that nobody else can see yet, then index it."""
    columns = ", ".join(f"{quoted(name.lower())} {TYPES[kind]}" for name, kind in kinds.items())
    # The default spares sending the month, the check spares ATTACH reading the table.
    db.execute(
        f"CREATE TABLE {new} (trip_month date NOT NULL DEFAULT DATE '{trips.first_day}' "
        f"CHECK (trip_month = DATE '{trips.first_day}'), {columns})"
    )
    # FREEZE: the rows never need a vacuum, and a reader whose snapshot is older than the
    # exchange sees them as well; without it, that one would see no such month.
    loaded = _copy(db, file, new, kinds, f"{trips} load", "FORMAT binary, FREEZE")
    db.execute(f"CREATE INDEX {new.name}_pickup ON {new} {_pickup_index(trips)}")
    db.execute(f"ANALYZE {new}")
    return loaded


def _copy(
    db: cursor,
    file: Engine,
    table: Table,
    kinds: Mapping[str, Type],
    label: str,
    options: str = "FORMAT binary",
) -> int:
    """Send the rows of the view `trips`."""
    [(expected,)] = file.execute("SELECT count(*) FROM trips").fetchall()
    select = ", ".join(f"CAST({quoted(n)} AS {kind}) AS {quoted(n)}" for n, kind in kinds.items())
    names = ", ".join(quoted(name.lower()) for name in kinds)
    with bar(label, expected) as advance:

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in file.sql(f"SELECT {select} FROM trips").to_arrow_reader(BATCH):
                yield batch
                advance(len(batch))

        feed = Feed(encoded(batches()))
        try:
            db.copy_expert(f"COPY {table} ({names}) FROM STDIN ({options})", feed)
        finally:
            feed.close()
            if feed.problem:
                raise feed.problem
    if db.rowcount != expected:
        raise StoreError(f"{table} took {db.rowcount} of {expected} rows; nothing was changed")
    return int(expected)


def _pickup_index(trips: TripMonth) -> str:
    """BRIN: the files are in the order of pickup, more or less, so that a few kilobytes say where
    an hour lies; the multi-minmax kind is not misled by the odd trip of 2008 or 2041."""
    return f"USING brin ({trips.service.pickup} timestamp_minmax_multi_ops)"


def _exchange(db: cursor, trips: TripMonth, table: Table, new: Table, columns: Columns) -> None:
    """Put the new table where the old one is, in a moment when nobody reads the months."""
    _hold(db, table.schema)
    wait_for_locks(db, AT_ONCE)
    deadline = time.monotonic() + settings().wait
    while True:
        db.execute("SAVEPOINT before_exchange")
        try:
            return _replace(db, trips, table, new, columns)
        except LockNotAvailable:
            if time.monotonic() > deadline:
                raise Busy(
                    f"{table} has been in use for {settings().wait:.0f} s without a pause; "
                    "close the transactions that read it and run this again"
                ) from None
            db.execute("ROLLBACK TO SAVEPOINT before_exchange")
        time.sleep(AT_ONCE)


def _replace(db: cursor, trips: TripMonth, table: Table, new: Table, columns: Columns) -> None:
    have = _columns(db, table)
    new_table = have is None
    if have is None:
        db.execute(
            f"CREATE TABLE {table} (trip_month date NOT NULL, {_definitions(columns)}) "
            "PARTITION BY LIST (trip_month)"
        )
        db.execute(f"CREATE INDEX {table.name}_pickup ON {table} {_pickup_index(trips)}")
        have = {"trip_month": "date", **columns}
    for target, missing in (
        (table, {n: k for n, k in columns.items() if n not in have}),
        (new, {n: k for n, k in have.items() if n not in columns and n != "trip_month"}),
    ):
        for name, kind in missing.items():
            db.execute(f"ALTER TABLE {target} ADD COLUMN {quoted(name)} {kind}")
    if table.schema == DATASET:
        _rides_view(db, renew=new_table)
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


def _rides_view(db: cursor, renew: bool) -> None:
    """Yellow and green together, as far as there are tables of them."""
    db.execute("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)", [DATASET])
    there = {row[0] for row in db.fetchall()}
    tables = {c: Table(DATASET, f"{c}_rides") for c in RIDES if f"{c}_rides" in there}
    if not tables or ("rides" in there and not renew):
        return
    columns = {c: _columns(db, table) or {} for c, table in tables.items()}
    query = rides_sql({c: str(table) for c, table in tables.items()}, columns)
    db.execute("SAVEPOINT before_view")
    try:
        db.execute(f"CREATE OR REPLACE VIEW {VIEW} AS {query}")
    except InvalidTableDefinition:  # a column is gone, or of another type
        db.execute(f"ROLLBACK TO SAVEPOINT before_view; DROP VIEW {VIEW}")
        db.execute(f"CREATE VIEW {VIEW} AS {query}")


def open_place(place: str) -> PostgresWarehouse:
    return PostgresWarehouse(find_database(place))
