"""DuckDB warehouse stored in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from nyc_taxi.conform.passenger_counts import fill_nulls_sql
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import from_root
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.storage.duckdb_engine import parquet_sql, quoted
from nyc_taxi.storage.parquet_metadata import read_source_version
from nyc_taxi.storage.progress import query_progress_bar
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import NO_COMMENTS, Comments, trips_comments
from nyc_taxi.warehouses.base import DATASET, check_is_ours, is_declared, lookup_table_name
from nyc_taxi.warehouses.duckdb import tables
from nyc_taxi.warehouses.duckdb.file import DuckDBFile
from nyc_taxi.warehouses.hours import KEY, LOAD_ID, Hours, check_hours, hourly_table_name
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, Load, NewLoad


class DuckDBWarehouse:
    reads = ()

    @classmethod
    def from_address(cls, path: str) -> DuckDBWarehouse:
        file = from_root(path)
        if file.name.partition(".")[0].lower() == DATASET:
            raise InvalidInputError(
                f"{file}: DuckDB names the database after the file, so it cannot be named "
                f"{DATASET}, like the schema in it; set NYC_TAXI_WAREHOUSE to another file"
            )
        return cls(file)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = DuckDBFile(path)

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        table, month = f"{DATASET}.{trips.color}_rides", f"DATE '{trips.first_day}'"
        trip_rows = (
            f"SELECT {month} AS trip_month, {fill_nulls_sql(fill)} FROM {parquet_sql(parquet)}"
        )
        with self.file.transaction() as db:
            kinds = {"trip_month": "DATE", **tables.file_types(db, parquet)}
            tables.create_loads(db)
            with query_progress_bar(db, f"{trips} load"):
                rows = tables.replace_rows(
                    db, table, ["trip_month"], trip_rows, kinds, f"trip_month = {month}",
                    partial(is_declared, trips),
                )  # fmt: skip
            tables.comment(db, table, trips_comments(trips.color))
            load = NewLoad(read_source_version(parquet))
            tables.record_load(db, load.row(f"{trips.color}_rides", trips.first_day, rows))
            tables.replace_rides_views(db)
        return rows

    def replace_hours(
        self,
        name: str,
        parquet: Path | str,
        first: datetime,
        last: datetime,
        comments: Comments = NO_COMMENTS,
    ) -> int:
        table, hours = f"{DATASET}.{hourly_table_name(name)}", Hours(first, last)
        check_hours(parquet, hours)
        load = NewLoad(read_source_version(parquet))
        with self.file.transaction() as db:
            types = tables.file_types(db, parquet)
            kinds = {name: kind for name, kind in types.items() if name.lower() != LOAD_ID}
            select = f"SELECT {', '.join(map(quoted, kinds))}, '{load.load_id}' AS {LOAD_ID}"
            tables.create_loads(db)
            rows = tables.replace_rows(
                db, table, KEY, f"{select} FROM {parquet_sql(parquet)}",
                {**kinds, LOAD_ID: "VARCHAR"}, _within(hours),
            )  # fmt: skip
            tables.comment(db, table, comments)
            for month in hours.months():
                count = f"SELECT count(*) FROM {table} WHERE {_within(month)}"
                [(there,)] = db.execute(count).fetchall()
                tables.record_load(db, load.row(name, month.first_day, there))
        return rows

    def replace_table(
        self, name: str, parquet: Path | str, comments: Comments = NO_COMMENTS
    ) -> int:
        table = lookup_table_name(name)
        with self.file.transaction() as db:
            kinds = tables.file_types(db, parquet, is_month=False)
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {DATASET}")
            if name in tables.table_names(db):
                check_is_ours(table, tables.columns(db, table), [*kinds][:1])
            before = tables.read_comments(db, table)
            [(loaded,)] = db.execute(
                f"CREATE OR REPLACE TABLE {table} AS FROM {parquet_sql(parquet)}"
            ).fetchall()
            tables.comment(db, table, comments.over(before))
            tables.replace_rides_views(db)
        return int(loaded)

    def create_loads(self) -> None:
        with self.file.transaction() as db:
            tables.create_loads(db)

    def read_loads(self) -> list[Load]:
        return [Load(*row) for row in self.read_rows(f"{DATASET}.{LOADS}", COLUMNS)]

    def read_rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with self.file.open() as db:
            if not tables.exists(db, table):
                return []
            return db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()

    def count(self, trips: TripMonth) -> int:
        if not self.path.exists():
            return 0
        table = f"{trips.color}_rides"
        with self.file.open() as db:
            if table not in tables.table_names(db):
                return 0
            row = db.execute(
                f"SELECT count(*) FROM {DATASET}.{table} WHERE trip_month = ?", [trips.first_day]
            ).fetchone()
        return int(row[0]) if row else 0

    def check(self) -> str:
        with file_lock(self.path):
            if not self.path.exists():
                return f"{self.path} does not exist yet; the first load creates it"
        with self.file.open() as db:
            return f"{self.path} has {len(tables.table_names(db))} tables in {DATASET}"


def _within(hours: Hours) -> str:
    return f"time_utc >= TIMESTAMP '{hours.first}' AND time_utc < TIMESTAMP '{hours.last}'"
