"""DuckDB warehouse stored in one file."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow.parquet as pq

from nyc_taxi.cancellation import check_stopped, interruptible_sleep
from nyc_taxi.conform.passenger_counts import fill_nulls_sql
from nyc_taxi.errors import LockTimeoutError, StorageError
from nyc_taxi.settings import from_root, settings
from nyc_taxi.storage.atomic_files import file_lock, translate_os_errors
from nyc_taxi.storage.duckdb_engine import (
    Database,
    literal,
    open_duckdb,
    parquet_sql,
    quoted,
    translate_duckdb_errors,
)
from nyc_taxi.storage.progress import query_progress_bar
from nyc_taxi.trips.comments import NO_COMMENTS, Comments, trips_comments
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.rides_view import TABLES, rides_views
from nyc_taxi.trips.schemas import INTEGER_TYPES
from nyc_taxi.warehouses.base import (
    DATASET,
    MAX_EXACT,
    check_names,
    is_declared,
    lookup_table_name,
)

_thread_locks: dict[Path, threading.Lock] = {}
"""A lock per file between the threads of this process; DuckDB itself locks out other processes."""
_thread_locks_guard = threading.Lock()

SAFE_WIDENINGS: dict[str, tuple[str, ...]] = {
    kind: (*INTEGER_TYPES[n:], "DOUBLE") for n, kind in enumerate(INTEGER_TYPES, 1)
} | {"FLOAT": ("DOUBLE",)}
"""Type in the file -> wider column types that store all of its values exactly (see MAX_EXACT)."""
_ACCEPTED_TYPES = re.compile(
    r"U?TINYINT|U?SMALLINT|U?INTEGER|BIGINT|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|BOOLEAN|DATE|VARCHAR|"
    r"TIMESTAMP(_S|_MS)?"
)
"""Types that every warehouse supports."""


class DuckDBWarehouse:
    reads = ()

    @classmethod
    def from_address(cls, path: str) -> DuckDBWarehouse:
        return cls(from_root(path))

    def __init__(self, path: Path) -> None:
        self.path = path

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        month = f"DATE '{trips.first_day}'"
        table = f"{DATASET}.{trips.color}_rides"
        trip_rows = f"SELECT {month} AS trip_month, {fill_nulls_sql(fill)}"
        source = parquet_sql(parquet)
        with self._transaction() as db:
            kinds = self._column_types(db, parquet)
            [(expected,)] = db.execute(f"SELECT count(*) FROM {source}").fetchall()
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {DATASET}")
            db.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {trip_rows} FROM {source} LIMIT 0")
            names = ["trip_month", *self._add_columns(db, trips, table, source, kinds)]
            self._comment(db, table, trips_comments(trips.color))
            db.execute(f"DELETE FROM {table} WHERE trip_month = {month}")
            with query_progress_bar(db, f"{trips} load"):
                [(loaded,)] = db.execute(
                    f"INSERT INTO {table} ({', '.join(map(quoted, names))}) "
                    f"{trip_rows} FROM {source}"
                ).fetchall()
            if loaded != expected:
                raise StorageError(
                    f"{table} received {loaded} of {expected} rows; nothing was changed"
                )
            self._replace_rides_views(db)
        return int(loaded)

    def replace_table(
        self, name: str, parquet: Path | str, comments: Comments = NO_COMMENTS
    ) -> int:
        table = lookup_table_name(name)
        with self._transaction() as db:
            self._column_types(db, parquet, is_month=False)
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {DATASET}")
            before = self._comments(db, table)
            [(loaded,)] = db.execute(
                f"CREATE OR REPLACE TABLE {table} AS FROM {parquet_sql(parquet)}"
            ).fetchall()
            self._comment(db, table, comments.over(before))
            self._replace_rides_views(db)
        return int(loaded)

    def count(self, trips: TripMonth) -> int:
        if not self.path.exists():
            return 0
        with self._open() as db:
            if f"{trips.color}_rides" not in self._tables(db):
                return 0
            row = db.execute(
                f"SELECT count(*) FROM {DATASET}.{trips.color}_rides WHERE trip_month = ?",
                [trips.first_day],
            ).fetchone()
        return int(row[0]) if row else 0

    def check(self) -> str:
        with file_lock(self.path):
            if not self.path.exists():
                return f"{self.path} does not exist yet; the first load creates it"
        with self._open() as db:
            return f"{self.path} has {len(self._tables(db))} tables in {DATASET}"

    @contextmanager
    def _open(self) -> Iterator[Database]:
        """Open the file, waiting up to NYC_TAXI_WAIT seconds for other runs to release it."""
        if self.path.is_dir():
            raise StorageError(
                f"{self.path} is a folder; set NYC_TAXI_WAREHOUSE to a file in it, such as "
                f"duckdb:{self.path / 'warehouse.duckdb'}"
            )
        with translate_os_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + settings().wait
        with self._thread_lock(deadline), ExitStack() as opened:
            while True:
                try:
                    with translate_os_errors(self.path):
                        db = opened.enter_context(open_duckdb(str(self.path)))
                    break
                except duckdb.IOException as problem:
                    if "Could not set lock" not in str(problem):
                        raise self._open_error(problem) from problem
                    self._check_deadline(deadline)
                except duckdb.Error as problem:
                    raise self._open_error(problem) from problem
                interruptible_sleep(0.2)
            with translate_duckdb_errors(self.path):
                yield db

    def _open_error(self, problem: duckdb.Error) -> StorageError:
        return StorageError(
            f"cannot open {self.path}: {str(problem).splitlines()[0]}; "
            "set NYC_TAXI_WAREHOUSE to another file, or move this one"
        )

    @contextmanager
    def _thread_lock(self, deadline: float) -> Iterator[None]:
        """Serialize threads that use the same file, even via different symbolic links."""
        with _thread_locks_guard:
            lock = _thread_locks.setdefault(self.path.resolve(), threading.Lock())
        while not lock.acquire(timeout=0.1):
            check_stopped()
            self._check_deadline(deadline)
        try:
            yield
        finally:
            lock.release()

    def _check_deadline(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise LockTimeoutError(
                f"{self.path} has been locked by another program for "
                f"{settings().wait:.0f} s; close that program and rerun"
            )

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        with self._open() as db, translate_os_errors(self.path):
            db.begin()
            yield db
            db.commit()

    @staticmethod
    def _tables(db: Database) -> set[str]:
        rows = db.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [DATASET]
        ).fetchall()
        return {row[0] for row in rows}

    @staticmethod
    def _columns(db: Database, table: str) -> dict[str, tuple[str, str]]:
        """Return lower-case name -> (name, type)."""
        rows = db.execute(f"DESCRIBE {table}").fetchall()
        return {name.lower(): (name, kind) for name, kind, *_ in rows}

    @staticmethod
    def _column_types(db: Database, parquet: Path | str, is_month: bool = True) -> dict[str, str]:
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

    def _add_columns(
        self, db: Database, trips: TripMonth, table: str, source: str, kinds: Mapping[str, str]
    ) -> list[str]:
        """Add missing columns; return the table's spelling of each column name in the file."""
        have = self._columns(db, table)
        if "trip_month" not in have:
            raise StorageError(
                f"{table} in {self.path} has no column trip_month, so these flows did not create "
                "it; rename it, or set NYC_TAXI_WAREHOUSE to another file"
            )
        names = []
        for name, kind in kinds.items():
            column, existing = have.get(name.lower(), (name, None))
            names.append(column)
            if existing is None:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
            elif existing != kind and (
                is_declared(trips, name, kind)
                or existing not in (*SAFE_WIDENINGS.get(kind, ()), "VARCHAR")
            ):
                raise StorageError(
                    f"column {name} is {existing} in {table} of {self.path} but {kind} in the "
                    f"file; run ALTER TABLE {table} ALTER COLUMN {quoted(name)} TYPE {kind}, or "
                    "rename the table and reload its months"
                )
            elif (existing, kind) == ("DOUBLE", "BIGINT"):
                beyond = (
                    f"FROM {source} WHERE {quoted(name)} NOT BETWEEN -{MAX_EXACT} AND {MAX_EXACT}"
                )
                bad = db.execute(f"SELECT {quoted(name)} {beyond} LIMIT 1").fetchone()
                if bad:
                    raise StorageError(
                        f"{table} in {self.path} has {name} as DOUBLE, which cannot store "
                        f"{bad[0]} exactly; run ALTER TABLE {table} ALTER COLUMN "
                        f"{quoted(name)} TYPE BIGINT"
                    )
        return names

    @staticmethod
    def _comments(db: Database, table: str) -> Comments:
        """Return the comments of a table or view and all of its columns."""
        schema, name = table.split(".")
        about = db.execute(
            "SELECT comment FROM duckdb_tables() WHERE (schema_name, table_name) = (?, ?)",
            [schema, name],
        ).fetchone()
        columns = db.execute(
            "SELECT column_name, coalesce(comment, '') FROM duckdb_columns()"
            " WHERE (schema_name, table_name) = (?, ?)",
            [schema, name],
        ).fetchall()
        return Comments((about and about[0]) or "", dict(columns))

    def _comment(
        self, db: Database, table: str, comments: Comments, kind: Literal["TABLE", "VIEW"] = "TABLE"
    ) -> None:
        changes = comments.changes(self._comments(db, table))
        if changes.table:
            db.execute(f"COMMENT ON {kind} {table} IS {literal(changes.table)}")
        for name, text in changes.columns.items():
            db.execute(f"COMMENT ON COLUMN {table}.{quoted(name)} IS {literal(text)}")

    def _replace_rides_views(self, db: Database) -> None:
        """Create or update `rides` and `rides_labeled` over the tables that exist."""
        tables = {
            name: dict(self._columns(db, f"{DATASET}.{name}").values())
            for name in self._tables(db).intersection(TABLES)
        }
        for view in rides_views(tables, lambda table: f"{DATASET}.{table}"):
            name = f"{DATASET}.{view.name}"
            db.execute(f"CREATE OR REPLACE VIEW {name} AS {view.query}")
            self._comment(db, name, view.comments, "VIEW")
