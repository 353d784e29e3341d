"""PostgreSQL warehouse: one table per color, partitioned by month, and hourly tables.

A month is copied into a staging table, then swapped in as a partition in one transaction, so a
reader sees the old month or the new one. Only the swap locks the table, under a short lock timeout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from nyc_taxi.conform.passenger_counts import ALL_TRIPS, fill_nulls_sql
from nyc_taxi.errors import StorageError
from nyc_taxi.storage.duckdb_engine import (
    open_duckdb,
    parquet_sql,
    quoted,
    translate_duckdb_errors,
)
from nyc_taxi.storage.parquet_metadata import read_source_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Color
from nyc_taxi.trips.table_comments import NO_COMMENTS, Comments
from nyc_taxi.warehouses.base import DATASET, check_is_ours, is_declared, lookup_table_name
from nyc_taxi.warehouses.hours import LOAD_ID, Hours, check_hours, hourly_table_name
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, Load, NewLoad
from nyc_taxi.warehouses.postgres.column_types import (
    check_color,
    definitions,
    postgres_types,
    resolve_types,
)
from nyc_taxi.warehouses.postgres.connection import Database, find_database
from nyc_taxi.warehouses.postgres.hours import record_hours, replace_hours
from nyc_taxi.warehouses.postgres.loads import create_loads, record_load
from nyc_taxi.warehouses.postgres.swap import copy_rows, load_partition, swap_partition
from nyc_taxi.warehouses.postgres.tables import (
    Table,
    advisory_lock,
    attributes,
    create_schema,
    find_oid,
    missing_grant,
    partitioned_columns,
    scalar,
)
from nyc_taxi.warehouses.postgres.views import (
    VIEWS,
    comment,
    drop_dependent_view,
    read_comments,
    replace_rides_views,
)


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
            types = postgres_types(file, parquet)
            load = NewLoad(read_source_version(parquet))
            self.create_loads()
            with self.database.session() as db:
                advisory_lock(db, f"{table.partition(trips)}")
                if have := partitioned_columns(db, table):
                    check_color(trips, table, types, have)
                    types = resolve_types(file, table, types, have, partial(is_declared, trips))
                staging = Table(table.schema, f"{table.partition(trips).name}_new")
                loaded = load_partition(db, file, trips, table, staging, types)
                record_load(db, table.schema, load.row(table.name, trips.first_day, loaded))
                swap_partition(
                    db, trips, table, staging, {n.lower(): kind for n, kind in types.items()}
                )
        return loaded

    def replace_hours(
        self,
        name: str,
        parquet: Path | str,
        first: datetime,
        last: datetime,
        comments: Comments = NO_COMMENTS,
    ) -> int:
        table, hours = Table(DATASET, hourly_table_name(name)), Hours(first, last)
        with translate_duckdb_errors(table), open_duckdb(threads=1) as file:
            check_hours(parquet, hours)
            load = NewLoad(read_source_version(parquet))
            given = file.execute(f"DESCRIBE FROM {parquet_sql(parquet)}").fetchall()
            names = ", ".join(quoted(name) for name, *_ in given if name.lower() != LOAD_ID)
            file.execute(
                f"CREATE VIEW trips AS SELECT {names}, '{load.load_id}' AS {LOAD_ID}"
                f" FROM {parquet_sql(parquet)}"
            )
            types = postgres_types(file, parquet)
            self.create_loads()
            with self.database.session() as db:
                rows = replace_hours(db, file, table, types, hours, comments)
                record_hours(db, table, hours, load)
        return rows

    def replace_table(
        self, name: str, parquet: Path | str, comments: Comments = NO_COMMENTS
    ) -> int:
        """Replace the rows; a table with the same columns keeps its indexes and grants."""
        table = Table.named(lookup_table_name(name))
        with translate_duckdb_errors(table), open_duckdb(threads=1) as file:
            file.execute(f"CREATE VIEW trips AS FROM {parquet_sql(parquet)}")
            types = postgres_types(file, parquet, is_month=False)
            columns = {n.lower(): kind for n, kind in types.items()}
            with self.database.session() as db:
                create_schema(db, table.schema)
            with self.database.session() as db:
                advisory_lock(db, table.schema)
                found = read_comments(db, table)
                if have := attributes(db, table):
                    check_is_ours(table, have, [*types][:1])
                if have == columns:
                    db.execute(f"DELETE FROM {table}")
                else:
                    drop_dependent_view(db, table)
                    db.execute(f"DROP TABLE IF EXISTS {table}")
                    db.execute(f"CREATE TABLE {table} ({definitions(columns)})")
                loaded = copy_rows(db, file, table, types, f"{name} load")
                comment(db, table, comments.over(found))
                replace_rides_views(db)
        return loaded

    def create_loads(self) -> None:
        """Create `loads` in the schema of the tables."""
        with self.database.session() as db:
            create_loads(db, self._tables[0].schema, self._tables)

    def read_loads(self) -> list[Load]:
        rows = self.read_rows(f"{self._tables[0].schema}.{LOADS}", COLUMNS)
        return [Load(*row) for row in rows]

    def read_rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        with self.database.session() as db:
            if find_oid(db, Table(*table.split("."))) is None:
                return []
            db.execute(f"SELECT {', '.join(columns)} FROM {table}")
            return db.fetchall()

    def count(self, trips: TripMonth) -> int:
        table = self._table(trips.color)
        with self.database.session() as db:
            if partitioned_columns(db, table) is None:
                return 0
            db.execute(f"SELECT count(*) FROM {table} WHERE trip_month = %s", [trips.first_day])
            return int(scalar(db))

    def check(self) -> str:
        schema = self._tables[0].schema
        names = [*(table.name for table in self._tables), LOADS, *([] if self.table else VIEWS)]
        with self.database.session() as db:
            self.database.check_writable(db)
            if grant := missing_grant(db, schema, names):
                raise StorageError(
                    f"PostgreSQL at {self.database.name}: the role lacks permissions to load into "
                    f"{schema}; ask an administrator to run {grant}"
                )
            db.execute("SELECT version()")
            return f"{scalar(db).partition(' on ')[0]}; months can be loaded into {schema}"

    @property
    def _tables(self) -> list[Table]:
        """The tables of trips that this warehouse loads."""
        return [self.table] if self.table else [self._table(color) for color in SERVICES]

    def _table(self, color: Color) -> Table:
        return self.table or Table(DATASET, f"{color}_rides")
