"""A warehouse in one DuckDB file, for who has no cloud and no server."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from nyc_taxi.colors import RIDES, WHOLE, rides_sql
from nyc_taxi.engine import Database, open_duckdb, parquet_sql, quoted
from nyc_taxi.errors import Busy, StoreError
from nyc_taxi.files import only_writer, writing
from nyc_taxi.months import TripMonth
from nyc_taxi.progress import watching
from nyc_taxi.settings import from_root, settings
from nyc_taxi.transform import filled
from nyc_taxi.warehouses import DATASET, small_table

_turns: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
"""DuckDB keeps other processes out of a file; this keeps other threads of this one out."""


WIDER: dict[str, tuple[str, ...]] = {
    kind: (*WHOLE[n:], "DOUBLE") for n, kind in enumerate(WHOLE, 1)
} | {"FLOAT": ("DOUBLE",)}
"""Which other types of a table's column take every value that a file holds."""


class DuckDBWarehouse:
    reads = ()

    def __init__(self, path: Path) -> None:
        self.path = path

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        month = f"DATE '{trips.first_day}'"
        table = f"{DATASET}.{trips.color}_rides"
        trip_rows = f"SELECT {month} AS trip_month, {filled(fill)}"
        source = parquet_sql(parquet)
        with self._open() as db, writing(self.path), self._transaction(db):
            expected = db.execute(f"SELECT count(*) FROM {source}").fetchone()
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {DATASET}")
            db.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {trip_rows} FROM {source} LIMIT 0")
            self._widen(db, table, source)
            db.execute(f"DELETE FROM {table} WHERE trip_month = {month}")
            with watching(db, f"{trips} load"):
                loaded = db.execute(
                    f"INSERT INTO {table} BY NAME {trip_rows} FROM {source}"
                ).fetchone()
            if loaded != expected:
                raise StoreError(f"{table} took {loaded} of {expected} rows; nothing was changed")
            self._rides_view(db)
        return int(loaded[0]) if loaded else 0

    def replace_table(self, name: str, parquet: Path | str) -> int:
        table = small_table(name)
        with self._open() as db, writing(self.path), self._transaction(db):
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {DATASET}")
            made = db.execute(
                f"CREATE OR REPLACE TABLE {table} AS FROM {parquet_sql(parquet)}"
            ).fetchone()
        return int(made[0]) if made else 0

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
        with only_writer(self.path):
            if not self.path.exists():
                return f"{self.path} is not there yet, the first load makes it"
        with self._open() as db:
            return f"{self.path} holds {len(self._tables(db))} tables of {DATASET}"

    @contextmanager
    def _open(self) -> Iterator[Database]:
        """The file, once no other run holds it; at most `NYC_TAXI_WAIT` seconds from now."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + settings().wait
        with _turns[self.path], ExitStack() as opened:
            while True:
                try:
                    with writing(self.path):
                        db = opened.enter_context(open_duckdb(str(self.path)))
                    break
                except duckdb.IOException as problem:
                    if "lock" not in str(problem):
                        raise StoreError(
                            f"cannot open {self.path}: {str(problem).splitlines()[0]}; "
                            "set NYC_TAXI_WAREHOUSE to another file, or move this one away"
                        ) from problem
                    if time.monotonic() > deadline:
                        raise Busy(
                            f"{self.path} has been held by another program for "
                            f"{settings().wait:.0f} s; close it and run this again"
                        ) from problem
                time.sleep(0.2)
            yield db

    @contextmanager
    def _transaction(self, db: Database) -> Iterator[None]:
        db.begin()
        try:
            yield
            db.commit()
        except (duckdb.ConversionException, duckdb.CatalogException) as problem:
            raise StoreError(
                f"{self.path}: {str(problem).splitlines()[0]}; nothing was changed"
            ) from problem

    @staticmethod
    def _tables(db: Database) -> set[str]:
        rows = db.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [DATASET]
        ).fetchall()
        return {row[0] for row in rows}

    @staticmethod
    def _columns(db: Database, table: str) -> dict[str, str]:
        """Lower-case names and their types."""
        return {row[0].lower(): row[1] for row in db.execute(f"DESCRIBE {table}").fetchall()}

    def _widen(self, db: Database, table: str, source: str) -> None:
        have = self._columns(db, table)
        if "trip_month" not in have:
            raise StoreError(
                f"{table} in {self.path} has no column trip_month, so these flows did not make it; "
                "rename it, or set NYC_TAXI_WAREHOUSE to another file"
            )
        for name, kind, *_ in db.execute(f"DESCRIBE FROM {source}").fetchall():
            if name.lower() not in have:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
            elif have[name.lower()] not in (kind, *WIDER.get(kind, ()), "VARCHAR"):
                raise StoreError(
                    f"{table} in {self.path} holds {name} as {have[name.lower()]}, the file as "
                    f"{kind}; run ALTER TABLE {table} ALTER COLUMN {quoted(name)} TYPE {kind}, or "
                    "rename the table and load its months again"
                )

    def _rides_view(self, db: Database) -> None:
        """Yellow and green together, as far as there are tables of them."""
        there = self._tables(db)
        tables = {c: f"{DATASET}.{c}_rides" for c in RIDES if f"{c}_rides" in there}
        if tables:
            columns = {c: self._columns(db, table) for c, table in tables.items()}
            db.execute(f"CREATE OR REPLACE VIEW {DATASET}.rides AS {rides_sql(tables, columns)}")


def open_place(place: str) -> DuckDBWarehouse:
    return DuckDBWarehouse(from_root(place))
