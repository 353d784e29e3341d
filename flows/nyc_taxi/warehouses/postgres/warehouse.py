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
import pyarrow.parquet as pq
from psycopg2.errors import InvalidTableDefinition, LockNotAvailable

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.conform.passenger_counts import ALL_TRIPS, fill_nulls_sql
from nyc_taxi.errors import InvalidInputError, LockTimeoutError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.duckdb_engine import Database as Engine
from nyc_taxi.storage.duckdb_engine import open_duckdb, parquet_sql, quoted, translate_duckdb_errors
from nyc_taxi.storage.progress import progress_bar
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.rides_view import RIDES_COLORS, rides_sql
from nyc_taxi.trips.schemas import SERVICES, Color
from nyc_taxi.warehouses.base import (
    DATASET,
    MAX_EXACT,
    check_names,
    is_declared,
    lookup_table_name,
)
from nyc_taxi.warehouses.postgres.binary_copy import Feed, encoded
from nyc_taxi.warehouses.postgres.connection import (
    Database,
    Session,
    find_database,
    set_lock_timeout,
)

BATCH_ROWS = 4096
"""Rows sent at a time: more of them cost memory and win nothing."""
SWAP_LOCK_TIMEOUT = 0.2
"""Seconds that readers may have to queue behind an exchange that itself waits for others."""
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
"""PostgreSQL's type for each of DuckDB's; a DECIMAL becomes numeric."""
_DUCKDB_TYPES = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "double precision": "DOUBLE",
    "timestamp without time zone": "TIMESTAMP",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "text": "VARCHAR",
}
"""And back: what the values are sent as."""
_SAFE_WIDENINGS = ("smallint", "integer", "bigint", "double precision")
MAX_NAME_LENGTH = 63
"""Bytes of a column's name; PostgreSQL would cut a longer one."""
_SYSTEM_COLUMNS = ("ctid", "tableoid", "xmin", "xmax", "cmin", "cmax")
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
            raise InvalidInputError(
                f"a table cannot be called {text!r} here; use up to 40 lower-case letters, "
                "digits and _, such as yellow_taxi_trips or myschema.yellow_taxi_trips"
            )
        return table

    def month(self, trips: TripMonth) -> Table:
        return Table(self.schema, f"{self.name}_{trips.first_day:%Y_%m}")


class PostgresWarehouse:
    reads: tuple[str, ...] = ()

    @classmethod
    def from_address(cls, place: str) -> PostgresWarehouse:
        return cls(find_database(place))

    def __init__(self, database: Database, table: Table | None = None) -> None:
        self.database = database
        self.table = table
        """Takes the months instead of `dezoomcamp.<color>_rides`."""

    def replace_month(
        self,
        trips: TripMonth,
        parquet: Path | str,
        fill: Mapping[str, int],
        only: str = ALL_TRIPS,
    ) -> int:
        """`only`: the SQL that is true of the trips to load."""
        table = self._table(trips.color)
        with translate_duckdb_errors(table), open_duckdb(threads=1) as file:
            file.execute(
                f"CREATE VIEW trips AS SELECT {fill_nulls_sql(fill)} FROM {parquet_sql(parquet)} "
                f"WHERE {only}"
            )
            types = _postgres_types(file, parquet)
            with self.database.session() as db:
                _create_schema(db, table.schema)
            with self.database.session() as db:
                _advisory_lock(db, f"{table.month(trips)}")
                types = _resolve_types(file, trips, table, types, _columns(db, table))
                new = Table(table.schema, f"{table.month(trips).name}_new")
                loaded = _load_partition(db, file, trips, table, new, types)
                _swap_partition(
                    db, trips, table, new, {n.lower(): kind for n, kind in types.items()}
                )
        return loaded

    def replace_table(self, name: str, parquet: Path | str) -> int:
        """Where the columns are the same the table stays, and so do its indexes and rights."""
        table = Table.named(lookup_table_name(name))
        with translate_duckdb_errors(table), open_duckdb(threads=1) as file:
            file.execute(f"CREATE VIEW trips AS FROM {parquet_sql(parquet)}")
            types = _postgres_types(file, parquet, is_month=False)
            columns = {n.lower(): kind for n, kind in types.items()}
            with self.database.session() as db:
                _create_schema(db, table.schema)
            with self.database.session() as db:
                _advisory_lock(db, str(table))
                if _attributes(db, table) == columns:
                    db.execute(f"DELETE FROM {table}")
                else:
                    db.execute(f"DROP TABLE IF EXISTS {table}")
                    db.execute(f"CREATE TABLE {table} ({_definitions(columns)})")
                return _copy(db, file, table, types, f"{name} load")

    def count(self, trips: TripMonth) -> int:
        table = self._table(trips.color)
        with self.database.session() as db:
            if _columns(db, table) is None:
                return 0
            db.execute(f"SELECT count(*) FROM {table} WHERE trip_month = %s", [trips.first_day])
            return int(_scalar(db))

    def check(self) -> str:
        tables = [self.table] if self.table else [self._table(color) for color in SERVICES]
        schema = tables[0].schema
        views = [] if self.table else ["rides"]
        with self.database.session() as db:
            self.database.check_writable(db)
            if grant := _missing_grant(db, schema, [*(t.name for t in tables), *views]):
                raise StorageError(
                    f"PostgreSQL at {self.database.name}: the role may not load months into "
                    f"{schema}; let an administrator run {grant}"
                )
            db.execute("SELECT version()")
            return f"{_scalar(db).partition(' on ')[0]} answers, months can be loaded into {schema}"

    def _table(self, color: Color) -> Table:
        return self.table or Table(DATASET, f"{color}_rides")


def _scalar(db: Session) -> Any:
    row = db.fetchone()
    return row[0] if row else None


def _missing_grant(db: Session, schema: str, tables: list[str]) -> str | None:
    """The GRANT without which the months cannot be loaded."""
    db.execute(
        "SELECT current_user, current_database(), to_regnamespace(%s) IS NOT NULL,"
        " has_database_privilege(current_database(), 'CREATE')",
        [quoted(schema)],
    )
    [(user, database, there, may_create)] = db.fetchall()
    role, name = db.quoted(user), db.quoted(schema)
    if not there:
        return None if may_create else f"GRANT CREATE ON DATABASE {db.quoted(database)} TO {role}"
    rights = ("USAGE", "CREATE")
    db.execute("SELECT has_schema_privilege(%s, %s), has_schema_privilege(%s, %s)",
               [schema, rights[0], schema, rights[1]])  # fmt: skip
    [has] = db.fetchall()
    if not all(has):
        missing = ", ".join(right for right, held in zip(rights, has, strict=True) if not held)
        return f"GRANT {missing} ON SCHEMA {name} TO {role}"
    # Only its owner may change a table, attach a month to it, and drop one.
    db.execute(
        "WITH ours AS (SELECT oid, relowner FROM pg_class WHERE relname = ANY(%s)"
        " AND relnamespace = to_regnamespace(%s))"
        " SELECT pg_get_userbyid(relowner) FROM ("
        "   SELECT relowner FROM ours UNION SELECT c.relowner FROM ours"
        "   JOIN pg_inherits ON inhparent = ours.oid JOIN pg_class c ON c.oid = inhrelid) owners"
        " WHERE NOT pg_has_role(relowner, 'USAGE') ORDER BY 1",
        [tables, quoted(schema)],
    )
    owners = ", ".join(db.quoted(owner) for (owner,) in db.fetchall())
    return f"GRANT {owners} TO {role}" if owners else None


def _advisory_lock(db: Session, what: str) -> None:
    """Keep other loads away from `what` until the transaction ends; readers need no such thing."""
    db.execute("SELECT pg_advisory_xact_lock(hashtext('nyc_taxi'), hashtext(%s))", [what])


def _create_schema(db: Session, schema: str) -> None:
    _advisory_lock(db, schema)
    db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    if _scalar(db) is None:
        db.execute(f"CREATE SCHEMA {schema}")


def _columns(db: Session, table: Table) -> Columns | None:
    """The columns of the table, None where there is none. Refuses a table of another shape."""
    oid = _find_oid(db, table)
    if oid is None:
        return None
    db.execute(
        "SELECT attname FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid"
        " AND attnum = partattrs[0] WHERE partrelid = %s AND partstrat = 'l' AND partnatts = 1",
        [oid],
    )
    if _scalar(db) != "trip_month":
        raise StorageError(
            f"{table} is not partitioned by trip_month, so these flows did not make it; "
            "rename it, or choose another name for the months"
        )
    return _attributes(db, table)


def _find_oid(db: Session, table: Table) -> int | None:
    # Not to_regclass: it may go by what this session has looked up before another made the table.
    db.execute(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = %s AND relname = %s",
        [table.schema, table.name],
    )
    oid: int | None = _scalar(db)
    return oid


def _attributes(db: Session, table: Table) -> Columns:
    db.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [_find_oid(db, table)],
    )
    return dict(db.fetchall())


def _possible_colors(columns: Columns) -> set[Color]:
    """The colours whose trips could be in a table with these columns."""
    return {
        color
        for color, service in SERVICES.items()
        if all(c.name.lower() in columns for c in service.key_columns)
    }


def _postgres_types(file: Engine, parquet: Path | str, is_month: bool = True) -> Columns:
    """The columns of the view `trips` and their PostgreSQL types; refuses what it cannot hold."""
    found = {name: kind for name, kind, *_ in file.execute("DESCRIBE trips").fetchall()}
    # Of the file itself: DuckDB has renamed what it cannot tell apart.
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
                f"{parquet} holds {name} as {kind}, which has no PostgreSQL type; cast it to one "
                f"of {', '.join((*_POSTGRES_TYPES, 'DECIMAL'))}. Nothing was changed"
            )
        types[name] = wanted
    return types


def _definitions(columns: Columns) -> str:
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())


def _resolve_types(
    file: Engine, trips: TripMonth, table: Table, types: Columns, have: Columns | None
) -> Columns:
    """The type each column of the file is sent as: its own, or the wider one of the table.

    Only an undeclared column may meet a wider type, and only with values that it holds exactly.
    """
    if have is None:
        return types
    if _possible_colors(have) != _possible_colors(dict.fromkeys(map(str.lower, types), "")):
        raise StorageError(
            f"{table} does not hold {trips.color} trips; choose another name for their table"
        )
    sent = {}
    for name, kind in types.items():
        there = sent[name] = have.get(name.lower(), kind)
        if there == kind:
            continue
        wider = (
            _SAFE_WIDENINGS[_SAFE_WIDENINGS.index(kind) + 1 :] if kind in _SAFE_WIDENINGS else ()
        )
        declared = is_declared(trips, name, _DUCKDB_TYPES.get(kind, kind))
        if declared or there not in (*wider, "text"):
            raise StorageError(
                f"{table} holds {name.lower()} as {there}, the file as {kind}; run "
                + (f"DROP VIEW IF EXISTS {VIEW}; " if table.schema == DATASET else "")
                + f"ALTER TABLE {table} ALTER COLUMN {_identifier(name.lower())} TYPE {kind}"
            )
        if there == "double precision" and kind == "bigint":
            _check_exact(file, table, name)
    return sent


def _check_exact(file: Engine, table: Table, name: str) -> None:
    beyond = f"{quoted(name)} NOT BETWEEN -{MAX_EXACT} AND {MAX_EXACT}"
    bad = file.execute(f"SELECT {quoted(name)} FROM trips WHERE {beyond} LIMIT 1").fetchone()
    if bad:
        raise StorageError(
            f"{table} holds {name.lower()} as double precision, which cannot hold {bad[0]} of the "
            f"file exactly; run ALTER TABLE {table} "
            f"ALTER COLUMN {_identifier(name.lower())} TYPE bigint"
        )


def _identifier(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quoted(name)


def _load_partition(
    db: Session,
    file: Engine,
    trips: TripMonth,
    table: Table,
    new: Table,
    types: Columns,
) -> int:
    """Copy the trips into a table that nobody else can see yet, then index it."""
    columns = _definitions({name.lower(): kind for name, kind in types.items()})
    # The default spares sending the month, the check spares ATTACH reading the table.
    db.execute(
        f"CREATE TABLE {new} (trip_month date NOT NULL DEFAULT DATE '{trips.first_day}' "
        f"CHECK (trip_month = DATE '{trips.first_day}'), {columns})"
    )
    # FREEZE: the rows never need a vacuum, and a reader whose snapshot is older than the
    # exchange sees them as well; without it, that one would see no such month.
    loaded = _copy(db, file, new, types, f"{trips} load", "FORMAT binary, FREEZE")
    db.execute(f"CREATE INDEX {new.name}_pickup ON {new} {_index_sql(db, trips, table)}")
    db.execute(f"ANALYZE {new}")
    return loaded


def _copy(
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
        f"CAST({quoted(n)} AS {_DUCKDB_TYPES.get(kind, kind)}) AS {quoted(n)}"
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
    return brin_index_sql(trips.service.pickup, db.version, _scalar(db))


def brin_index_sql(pickup: str, version: int, operators: str | None = None) -> str:
    """BRIN: the files are in the order of pickup, more or less, so that a few kilobytes say where
    an hour lies. The multi-minmax kind (from version 14 on) is not misled by the odd trip of 2008
    or 2041; the older kind reads a few more blocks for it."""
    operators = operators or f"timestamp_minmax_{'multi_' if version >= 14 else ''}ops"
    return f"USING brin ({pickup} {operators})"


def _swap_partition(
    db: Session, trips: TripMonth, table: Table, new: Table, columns: Columns
) -> None:
    """Put the new table where the old one is, in a moment when nobody reads the months."""
    _advisory_lock(db, table.schema)
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
    have = _columns(db, table)
    new_table = have is None
    if have is None:
        db.execute(
            f"CREATE TABLE {table} (trip_month date NOT NULL, {_definitions(columns)}) "
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
    if table.schema == DATASET:
        _replace_rides_view(db, renew=new_table)
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


def _replace_rides_view(db: Session, renew: bool) -> None:
    """Yellow and green together, as far as there are tables of them."""
    db.execute("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)", [DATASET])
    there = {row[0] for row in db.fetchall()}
    tables = {c: Table(DATASET, f"{c}_rides") for c in RIDES_COLORS if f"{c}_rides" in there}
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
