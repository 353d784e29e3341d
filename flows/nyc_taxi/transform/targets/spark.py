"""Spark: dbt works in this process, in its SparkSession."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nyc_taxi.storage.spark import spark_session
from nyc_taxi.transform.targets.spark_lock import lease
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.spark import maintenance, tables
from nyc_taxi.warehouses.spark.warehouse import SparkWarehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMAS = (DATASET, "silver", "gold")


class SparkTarget:
    profile = "spark"

    @classmethod
    def from_address(cls, catalog: str) -> SparkTarget:
        return cls(SparkWarehouse.from_address(catalog))

    def __init__(self, warehouse: SparkWarehouse) -> None:
        self.warehouse = warehouse
        self.catalog = warehouse.catalog
        self.name = self.catalog.name

    @contextmanager
    def opened(self) -> Iterator[Mapping[str, str]]:
        """dbt names tables without a catalog, so it gets the one of this target."""
        with spark_session() as spark:
            before = spark.catalog.currentCatalog()
            spark.sql(f"SET CATALOG {self.name}")
            try:
                yield {}
            finally:
                spark.sql(f"SET CATALOG {before}")

    @contextmanager
    def lock(self) -> Iterator[None]:
        with lease(self.catalog):
            yield

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        def rows(spark: SparkSession) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in spark.sql(sql).collect()]

        with self.opened():
            return self.catalog.run(rows)

    def execute(self, *statements: str) -> None:
        """Run the statements one by one: a transaction of Iceberg is of one table."""
        for statement in statements:
            self.query(statement)

    def drop(self, *names: str) -> None:
        self.execute(*(f"DROP TABLE IF EXISTS {self.name}.{table} PURGE" for table in names))

    def bytes(self, *names: str) -> int:
        return self.catalog.run(
            lambda spark: sum(tables.data_bytes(spark, f"{self.name}.{name}") for name in names)
        )

    def maintain(self) -> str:
        """Compact small files, expire old snapshots, remove files of killed runs."""
        self.warehouse.create_loads()  # records the loads of snapshots that expire
        return maintenance.maintain(self.catalog, SCHEMAS)
