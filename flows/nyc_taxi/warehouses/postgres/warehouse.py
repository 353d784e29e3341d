"""PostgreSQL warehouse: one table per color, partitioned by month.

A month is copied into a staging table, then swapped in as a partition in one transaction, so a
reader sees the old month or the new one. Only the swap locks the table, under a short lock timeout.
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
"""Rows per batch; larger batches use more memory and are not faster."""
SWAP_LOCK_TIMEOUT = 0.2
"""Lock timeout in seconds per swap attempt; limits how long readers queue behind a swap."""
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
"""PostgreSQL type -> DuckDB type that values are cast to before they are sent."""
_SAFE_WIDENINGS = ("smallint", "integer", "bigint", "double precision")
MAX_NAME_LENGTH = 63
"""Maximum bytes of a column name; PostgreSQL truncates longer ones."""
_SYSTEM_COLUMNS = ("ctid", "tableoid", "xmin", "xmax", "cmin", "cmax")
VIEW = f"{DATASET}.rides"
Columns = dict[str, str]
"""Lower-case column name -> PostgreSQL type."""


@dataclass(frozen=True)
class Table:
    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @staticmethod
    def named(text: str) -> Table:
        """Parse `trips` (schema public) or `schema.trips`. Raises InvalidInputError."""
        schema, _, name = text.rpartition(".")
        table = Table(schema or "public", name)
        if not all(re.fullmatch(r"[a-z_][a-z0-9_]{0,39}", part) for part in (table.schema, name)):
            raise InvalidInputError(
                f"{text!r} is not a valid table name; use up to 40 lower-case letters, "
                "digits and _, such as yellow_taxi_trips or myschema.yellow_taxi_trips"
            )
        return table

    def month(self, trips: TripMonth) -> Table:
        return Table(self.schema, f"{self.name}_{trips.first_day:%Y_%m}")


class PostgresWarehouse:
    reads: tuple[str, ...] = ()

    @classmethod
    def from_address(cls, block: str) -> PostgresWarehouse:
        return cls(find_database(block))

    def __init__(self, database: Database, table: Table | None = None) -> None:
        self.database = database
        self.table = table
        """Target table instead of `dezoomcamp.<color>_rides`."""

    def replace_month(
        self,
        trips: TripMonth,
        parquet: Path | str,
        fill: Mapping[str, int],
        where: str = ALL_TRIPS,
    ) -> int:
        """Replace the month; `where` is an SQL predicate that selects the trips to load."""
        table = self._table(trips.color)
        with translate_duckdb_errors(table), open_duckdb(threads=1) as file:
            file.execute(
                f"CREATE VIEW trips AS SELECT {fill_nulls_sql(fill)} FROM {parquet_sql(parquet)} "
                f"WHERE {where}"
            )
            types = _postgres_types(file, parquet)
            with self.database.session() as db:
                _create_schema(db, table.schema)
            with self.database.session() as db:
                _advisory_lock(db, f"{table.month(trips)}")
                types = _resolve_types(file, trips, table, types, _columns(db, table))
                staging = Table(table.schema, f"{table.month(trips).name}_new")
                loaded = _load_partition(db, file, trips, table, staging, types)
                _swap_partition(
                    db, trips, table, staging, {n.lower(): kind for n, kind in types.items()}
                )
        return loaded

    def replace_table(self, name: str, parquet: Path | str) -> int:
        """Replace the rows; a table with the same columns keeps its indexes and grants."""
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
                    f"PostgreSQL at {self.database.name}: the role lacks permissions to load into "
                    f"{schema}; ask an administrator to run {grant}"
                )
            db.execute("SELECT version()")
            return f"{_scalar(db).partition(' on ')[0]}; months can be loaded into {schema}"

    def _table(self, color: Color) -> Table:
        return self.table or Table(DATASET, f"{color}_rides")


def _scalar(db: Session) -> Any:
    row = db.fetchone()
    return row[0] if row else None


def _missing_grant(db: Session, schema: str, tables: list[str]) -> str | None:
    """Return the GRANT that the role needs to load months; None if it needs none."""
    db.execute(
        "SELECT current_user, current_database(), to_regnamespace(%s) IS NOT NULL,"
        " has_database_privilege(current_database(), 'CREATE')",
        [quoted(schema)],
    )
    [(user, database, exists, may_create)] = db.fetchall()
    role, name = db.quoted(user), db.quoted(schema)
    if not exists:
        return None if may_create else f"GRANT CREATE ON DATABASE {db.quoted(database)} TO {role}"
    rights = ("USAGE", "CREATE")
    db.execute("SELECT has_schema_privilege(%s, %s), has_schema_privilege(%s, %s)",
               [schema, rights[0], schema, rights[1]])  # fmt: skip
    [has] = db.fetchall()
    if not all(has):
        missing = ", ".join(right for right, held in zip(rights, has, strict=True) if not held)
        return f"GRANT {missing} ON SCHEMA {name} TO {role}"
    # Only the owner may alter a table and attach or drop its partitions.
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


def _advisory_lock(db: Session, name: str) -> None:
    """Serialize loads that use the same name until the transaction ends; readers are unaffected."""
    db.execute("SELECT pg_advisory_xact_lock(hashtext('nyc_taxi'), hashtext(%s))", [name])


def _create_schema(db: Session, schema: str) -> None:
    _advisory_lock(db, schema)
    db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    if _scalar(db) is None:
        db.execute(f"CREATE SCHEMA {schema}")


def _columns(db: Session, table: Table) -> Columns | None:
    """Return the columns of the table; None if it does not exist.

    Raises StorageError for a table that is not partitioned by trip_month.
    """
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
            f"{table} is not partitioned by trip_month, so these flows did not create it; "
            "rename it, or use another table name"
        )
    return _attributes(db, table)


def _find_oid(db: Session, table: Table) -> int | None:
    # Not to_regclass: the session's catalog cache may miss a table that another one just created.
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
    """Return the colors whose trips a table with these columns may contain."""
    return {
        color
        for color, service in SERVICES.items()
        if all(c.name.lower() in columns for c in service.key_columns)
    }


def _postgres_types(file: Engine, parquet: Path | str, is_month: bool = True) -> Columns:
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


def _definitions(columns: Columns) -> str:
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())


def _resolve_types(
    file: Engine, trips: TripMonth, table: Table, types: Columns, have: Columns | None
) -> Columns:
    """Return the type to send each column of the file as: its own, or the table's wider one.

    Only undeclared columns are widened, and only if the wider type stores every value exactly.
    Raises StorageError otherwise.
    """
    if have is None:
        return types
    if _possible_colors(have) != _possible_colors(dict.fromkeys(map(str.lower, types), "")):
        raise StorageError(
            f"{table} does not contain {trips.color} trips; use another table for them"
        )
    sent = {}
    for name, kind in types.items():
        existing = sent[name] = have.get(name.lower(), kind)
        if existing == kind:
            continue
        wider = (
            _SAFE_WIDENINGS[_SAFE_WIDENINGS.index(kind) + 1 :] if kind in _SAFE_WIDENINGS else ()
        )
        declared = is_declared(trips, name, _DUCKDB_TYPES.get(kind, kind))
        if declared or existing not in (*wider, "text"):
            raise StorageError(
                f"{table} has {name.lower()} as {existing}, the file as {kind}; run "
                + (f"DROP VIEW IF EXISTS {VIEW}; " if table.schema == DATASET else "")
                + f"ALTER TABLE {table} ALTER COLUMN {_identifier(name.lower())} TYPE {kind}"
            )
        if existing == "double precision" and kind == "bigint":
            _check_exact(file, table, name)
    return sent


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


def _load_partition(
    db: Session,
    file: Engine,
    trips: TripMonth,
    table: Table,
    staging: Table,
    types: Columns,
) -> int:
    """Copy the trips into the staging table, then index and analyze it."""
    columns = _definitions({name.lower(): kind for name, kind in types.items()})
    # The default saves sending the month; the check saves ATTACH a scan of the table.
    db.execute(
        f"CREATE TABLE {staging} (trip_month date NOT NULL DEFAULT DATE '{trips.first_day}' "
        f"CHECK (trip_month = DATE '{trips.first_day}'), {columns})"
    )
    # FREEZE: the rows need no vacuum and are visible to snapshots older than the swap, which
    # would otherwise see an empty month.
    loaded = _copy(db, file, staging, types, f"{trips} load", "FORMAT binary, FREEZE")
    db.execute(f"CREATE INDEX {staging.name}_pickup ON {staging} {_index_sql(db, trips, table)}")
    db.execute(f"ANALYZE {staging}")
    return loaded


def _copy(
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
        raise StorageError(
            f"{table} received {db.rowcount} of {expected} rows; nothing was changed"
        )
    return int(expected)


def _index_sql(db: Session, trips: TripMonth, table: Table) -> str:
    """Return the index definition; it must match the index that the table already has."""
    db.execute(
        "SELECT opcname FROM pg_index JOIN pg_opclass o ON o.oid = indclass[0]"
        " WHERE indexrelid = to_regclass(%s)",
        [f"{table}_pickup"],
    )
    return brin_index_sql(trips.service.pickup, db.version, _scalar(db))


def brin_index_sql(pickup: str, version: int, operators: str | None = None) -> str:
    """Return a BRIN index on the pickup time. Files are roughly in its order, so it stays small.

    From version 14 on it uses multi-minmax, which tolerates outliers such as a pickup in 2041.
    """
    operators = operators or f"timestamp_minmax_{'multi_' if version >= 14 else ''}ops"
    return f"USING brin ({pickup} {operators})"


def _swap_partition(
    db: Session, trips: TripMonth, table: Table, staging: Table, columns: Columns
) -> None:
    """Swap the staging table in as the month's partition; retry while readers hold locks."""
    _advisory_lock(db, table.schema)
    set_lock_timeout(db, SWAP_LOCK_TIMEOUT)
    deadline = time.monotonic() + settings().wait
    while True:
        db.execute("SAVEPOINT before_swap")
        try:
            return _attach_partition(db, trips, table, staging, columns)
        except LockNotAvailable:
            if time.monotonic() > deadline:
                raise LockTimeoutError(
                    f"{table} has been locked by readers for {settings().wait:.0f} s; "
                    "close their transactions and rerun"
                ) from None
            db.execute("ROLLBACK TO SAVEPOINT before_swap")
        interruptible_sleep(SWAP_LOCK_TIMEOUT)


def _attach_partition(
    db: Session, trips: TripMonth, table: Table, staging: Table, columns: Columns
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
        (staging, {n: k for n, k in have.items() if n not in columns and n != "trip_month"}),
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
    db.execute(f"ALTER TABLE {staging} RENAME TO {month.name}")
    db.execute(f"ALTER INDEX {table.schema}.{staging.name}_pickup RENAME TO {month.name}_pickup")
    db.execute(f"ALTER TABLE {table} ATTACH PARTITION {month} FOR VALUES IN ('{trips.first_day}')")


def _replace_rides_view(db: Session, renew: bool) -> None:
    """Create or update the view `rides`: a union of the yellow and green tables that exist."""
    db.execute("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)", [DATASET])
    existing = {row[0] for row in db.fetchall()}
    tables = {c: Table(DATASET, f"{c}_rides") for c in RIDES_COLORS if f"{c}_rides" in existing}
    if not tables or ("rides" in existing and not renew):
        return
    columns = {c: _columns(db, table) or {} for c, table in tables.items()}
    query = rides_sql({c: str(table) for c, table in tables.items()}, columns)
    db.execute("SAVEPOINT before_view")
    try:
        db.execute(f"CREATE OR REPLACE VIEW {VIEW} AS {query}")
    except InvalidTableDefinition:  # a column was removed or changed its type
        db.execute(f"ROLLBACK TO SAVEPOINT before_view; DROP VIEW {VIEW}")
        db.execute(f"CREATE VIEW {VIEW} AS {query}")
