"""PostgreSQL warehouse: one table per color, partitioned by month.

A month is copied into a staging table, then swapped in as a partition in one transaction, so a
reader sees the old month or the new one. Only the swap locks the table, under a short lock timeout.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nyc_taxi.conform.passenger_counts import ALL_TRIPS, fill_nulls_sql
from nyc_taxi.errors import StorageError
from nyc_taxi.storage.duckdb_engine import open_duckdb, parquet_sql, translate_duckdb_errors
from nyc_taxi.trips.comments import NO_COMMENTS, Comments
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Color
from nyc_taxi.warehouses.base import DATASET, lookup_table_name
from nyc_taxi.warehouses.postgres.column_types import definitions, postgres_types, resolve_types
from nyc_taxi.warehouses.postgres.connection import Database, find_database
from nyc_taxi.warehouses.postgres.swap import copy_rows, load_partition, swap_partition
from nyc_taxi.warehouses.postgres.tables import (
    Table,
    advisory_lock,
    attributes,
    create_schema,
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
            with self.database.session() as db:
                create_schema(db, table.schema)
            with self.database.session() as db:
                advisory_lock(db, f"{table.partition(trips)}")
                types = resolve_types(file, trips, table, types, partitioned_columns(db, table))
                staging = Table(table.schema, f"{table.partition(trips).name}_new")
                loaded = load_partition(db, file, trips, table, staging, types)
                swap_partition(
                    db, trips, table, staging, {n.lower(): kind for n, kind in types.items()}
                )
        return loaded

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
                if attributes(db, table) == columns:
                    db.execute(f"DELETE FROM {table}")
                else:
                    drop_dependent_view(db, table)
                    db.execute(f"DROP TABLE IF EXISTS {table}")
                    db.execute(f"CREATE TABLE {table} ({definitions(columns)})")
                loaded = copy_rows(db, file, table, types, f"{name} load")
                comment(db, table, comments.over(found))
                replace_rides_views(db)
        return loaded

    def count(self, trips: TripMonth) -> int:
        table = self._table(trips.color)
        with self.database.session() as db:
            if partitioned_columns(db, table) is None:
                return 0
            db.execute(f"SELECT count(*) FROM {table} WHERE trip_month = %s", [trips.first_day])
            return int(scalar(db))

    def check(self) -> str:
        tables = [self.table] if self.table else [self._table(color) for color in SERVICES]
        schema = tables[0].schema
        views = [] if self.table else VIEWS
        with self.database.session() as db:
            self.database.check_writable(db)
            if grant := missing_grant(db, schema, [*(t.name for t in tables), *views]):
                raise StorageError(
                    f"PostgreSQL at {self.database.name}: the role lacks permissions to load into "
                    f"{schema}; ask an administrator to run {grant}"
                )
            db.execute("SELECT version()")
            return f"{scalar(db).partition(' on ')[0]}; months can be loaded into {schema}"

    def _table(self, color: Color) -> Table:
        return self.table or Table(DATASET, f"{color}_rides")
