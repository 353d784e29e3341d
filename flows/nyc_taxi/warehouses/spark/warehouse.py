"""Spark warehouse: Iceberg tables in a catalog of the SparkSession, such as `spark:nyc`.

A month is replaced by one commit, so that a reader sees the old month or the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import NO_COMMENTS, Comments, trips_comments
from nyc_taxi.warehouses.base import DATASET, check_is_ours, is_declared, lookup_table_name
from nyc_taxi.warehouses.hours import KEY, LOAD_ID, Hours, check_hours, hourly_table_name
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, Load, NewLoad
from nyc_taxi.warehouses.spark import tables
from nyc_taxi.warehouses.spark.catalog import Catalog
from nyc_taxi.warehouses.spark.columns import cast_to, open_remote, read_footer
from nyc_taxi.warehouses.spark.loads import create_loads, record_loads, snapshot_properties
from nyc_taxi.warehouses.spark.views import replace_rides_views

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class SparkWarehouse:
    reads: tuple[str, ...] = ("hdfs",)

    @classmethod
    def from_address(cls, catalog: str) -> SparkWarehouse:
        return cls(Catalog(catalog))

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        name, file = f"{trips.color}_rides", read_footer(parquet)
        table, where = self.catalog.table(name), f"trip_month = DATE '{trips.first_day}'"
        options = snapshot_properties(NewLoad(file.source_version), [trips.first_day])

        def load(spark: SparkSession) -> None:
            from pyspark.sql import functions as F

            create_loads(spark, self.catalog.name)
            tables.create_or_widen(
                spark, table, {"trip_month": "date", **file.types}, ["trip_month"],
                "trip_month", trips_comments(trips.color), _declared(trips),
            )  # fmt: skip
            with self._file_rows(spark, parquet) as rows:
                cast = cast_to(rows, file.types, tables.columns(spark, table), table)
                month = cast.withColumns(
                    {name: F.coalesce(F.col(name), F.lit(value)) for name, value in fill.items()}
                    | {"trip_month": F.lit(trips.first_day)}
                )
                month.writeTo(table).options(**options).overwrite(F.expr(where))

        self.catalog.run(load, table)
        self._record_loads(name)
        self._replace_views()
        return file.rows

    def replace_hours(
        self,
        name: str,
        parquet: Path | str,
        first: datetime,
        last: datetime,
        comments: Comments = NO_COMMENTS,
    ) -> int:
        """Replace the months of the hours with the file and the other hours of these months."""
        table, hours = self.catalog.table(hourly_table_name(name)), Hours(first, last)
        check_hours(parquet, hours, open_remote(parquet))
        file = read_footer(parquet)
        types = {name: kind for name, kind in file.types.items() if name.lower() != LOAD_ID}
        months = [*hours.months()]
        whole = Hours(months[0].first, months[-1].last)
        new = NewLoad(file.source_version)
        options = snapshot_properties(new, [month.first_day for month in months])

        def load(spark: SparkSession) -> None:
            from pyspark.sql import functions as F

            create_loads(spark, self.catalog.name)
            tables.create_or_widen(
                spark, table, {**types, LOAD_ID: "string"}, KEY, "months(time_utc)", comments
            )
            read = tables.snapshot_options(spark, table)
            kept = spark.table(table).where(f"{_within(whole)} AND NOT ({_within(hours)})")
            with self._file_rows(spark, parquet) as rows:
                given = cast_to(rows, types, tables.columns(spark, table), table)
                loaded = given.withColumn(LOAD_ID, F.lit(new.load_id))
                kept.unionByName(loaded, allowMissingColumns=True).writeTo(table).options(
                    **options, **read
                ).overwrite(F.expr(_within(whole)))

        self.catalog.run(load, table)
        self._record_loads(name)
        return file.rows

    def replace_table(
        self, name: str, parquet: Path | str, comments: Comments = NO_COMMENTS
    ) -> int:
        file = read_footer(parquet, is_month=False)
        table = f"{self.catalog.name}.{lookup_table_name(name)}"

        def replace(spark: SparkSession) -> None:
            wanted = comments
            create_loads(spark, self.catalog.name)
            if tables.exists(spark, table):
                check_is_ours(table, tables.columns(spark, table), [*file.types][:1])
                wanted = comments.over(tables.read_comments(spark, table))
            with self._file_rows(spark, parquet) as rows:
                cast = tables.commented(cast_to(rows, file.types, {}, table), wanted)
                writer = cast.writeTo(table).using("iceberg").tableProperty("comment", wanted.table)
                writer.createOrReplace()

        self.catalog.run(replace, table)
        self._replace_views()
        return file.rows

    def create_loads(self) -> None:
        self.catalog.run(lambda spark: create_loads(spark, self.catalog.name))
        self._record_loads()

    def read_loads(self) -> list[Load]:
        """Record what a run that was killed has not, then read."""
        if self.catalog.run(lambda spark: tables.exists(spark, self.catalog.table(LOADS))):
            self._record_loads()
        return [Load(*row) for row in self.read_rows(f"{DATASET}.{LOADS}", COLUMNS)]

    def read_rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        name = f"{self.catalog.name}.{table}"

        def read(spark: SparkSession) -> list[tuple[Any, ...]]:
            if not tables.exists(spark, name):
                return []
            return [tuple(row) for row in spark.table(name).selectExpr(*columns).collect()]

        return self.catalog.run(read)

    def count(self, trips: TripMonth) -> int:
        table = self.catalog.table(f"{trips.color}_rides")

        def count(spark: SparkSession) -> int:
            if not tables.exists(spark, table):
                return 0
            return tables.rows_of(spark, table, f"trip_month = DATE '{trips.first_day}'")

        return self.catalog.run(count)

    def check(self) -> str:
        """List the tables, which needs the catalog; a load also needs the files' storage."""

        def check(spark: SparkSession) -> str:
            tables.create_schema(spark, self.catalog.name)
            found = spark.sql(f"SHOW TABLES IN {self.catalog.name}.{DATASET}").collect()
            context = spark.sparkContext
            return (
                f"{self.catalog} on {context.master} ({context.applicationId}) has {len(found)} "
                f"tables in {DATASET}"
            )

        return self.catalog.run(check)

    def _record_loads(self, *names: str) -> None:
        self.catalog.run(lambda spark: record_loads(spark, self.catalog.name, *names))

    def _replace_views(self) -> None:
        self.catalog.run(lambda spark: replace_rides_views(spark, self.catalog.name))

    def _file_rows(
        self, spark: SparkSession, parquet: Path | str
    ) -> AbstractContextManager[DataFrame]:
        """The file's rows, from a copy in the folder of `loads`, which exists by then."""
        return tables.file_rows(spark, self.catalog.table(LOADS), parquet)


def _declared(trips: TripMonth) -> Callable[[str, str], bool]:
    return lambda name, kind: is_declared(trips, name, "INTEGER" if kind == "int" else kind)


def _within(hours: Hours) -> str:
    first, last = (f"TIMESTAMP_NTZ '{end}'" for end in (hours.first, hours.last))
    return f"time_utc >= {first} AND time_utc < {last}"
