"""Maintenance of Iceberg tables: small files, old snapshots, files of killed runs."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import wait
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from nyc_taxi.cancellation import GRACE, run_in_threads, stoppable
from nyc_taxi.warehouses.spark.catalog import Catalog
from nyc_taxi.warehouses.spark.columns import quoted
from nyc_taxi.warehouses.spark.tables import table_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AT_ONCE = 4
"""Tables. Each takes many small jobs, which leave executors idle in between."""


@dataclass(frozen=True)
class Freed:
    """What maintenance has done; bytes are those of all files in the folders of the tables."""

    tables: int = 0
    compacted: int = 0
    """Small files that were rewritten into fewer."""
    expired: int = 0
    """Snapshots."""
    orphans: int = 0
    """Files of no snapshot."""
    bytes: int = 0

    def __add__(self, other: Freed) -> Freed:
        names = [field.name for field in fields(self)]
        return Freed(*(getattr(self, name) + getattr(other, name) for name in names))

    def __str__(self) -> str:
        return (
            f"{self.tables} tables: {self.compacted} small files compacted, {self.expired} "
            f"snapshots expired, {self.orphans} orphan files removed, {self.bytes:,} bytes freed"
        )


def maintain(catalog: Catalog, schemas: Iterable[str]) -> str:
    """Maintain every table but those whose property gc.enabled is false. Raises StorageError.

    Iceberg's own limits apply: snapshots expire after 5 days (the table's property
    history.expire.max-snapshot-age-ms), and orphan files are removed after 3.
    """

    def maintain_table(name: str) -> Freed:
        return catalog.run(partial(_maintain, catalog=catalog.name, name=name))

    names = [
        name
        for schema in schemas
        for name in catalog.run(partial(_names, catalog=catalog.name, schema=schema))
    ]
    with stoppable() as stop:
        runs = run_in_threads(maintain_table, names, AT_ONCE)
        try:
            return f"{catalog}: {sum((run.result() for run in runs), Freed())}"
        finally:
            stop.set()
            wait(runs, GRACE)


def _names(spark: SparkSession, catalog: str, schema: str) -> list[str]:
    spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {catalog}.{schema}")
    found = spark.sql(f"SHOW TABLES IN {catalog}.{schema}").collect()
    return [f"{schema}.{quoted(row['tableName'])}" for row in found]


def _maintain(spark: SparkSession, catalog: str, name: str) -> Freed:
    if _keeps_files(spark, f"{catalog}.{name}"):
        return Freed()
    files, folder = table_folder(spark, f"{catalog}.{name}")
    before = files.getContentSummary(folder).getLength()
    [compacted] = _call(spark, catalog, "rewrite_data_files", name)
    expired = _count_expired(spark, f"{catalog}.{name}")
    if expired:  # without any, the procedure would still read all manifests
        _call(spark, catalog, "expire_snapshots", name)
    # A file whose snapshot has another name for the cluster is kept, and does not end the run.
    orphans = _call(spark, catalog, "remove_orphan_files", name, prefix_mismatch_mode="IGNORE")
    after = files.getContentSummary(folder).getLength()
    rewritten = compacted["rewritten_data_files_count"]
    saved = before - after  # renewals of the build lock write to its table meanwhile
    return Freed(1, rewritten, expired, len(orphans), max(0, saved))


def _keeps_files(spark: SparkSession, table: str) -> bool:
    """Return whether another table may use the files too, which Iceberg then refuses to remove."""
    properties = spark.sql(f"SHOW TBLPROPERTIES {table}").collect()
    return ("gc.enabled", "false") in map(tuple, properties)


def _call(
    spark: SparkSession, catalog: str, procedure: str, table: str, **options: str
) -> list[Any]:
    arguments = ", ".join(
        f"{key} => '{value}'" for key, value in {"table": table, **options}.items()
    )
    return list(spark.sql(f"CALL {catalog}.system.{procedure}({arguments})").collect())


def _count_expired(spark: SparkSession, table: str) -> int:
    """Return the number of snapshots that the table's properties no longer keep."""
    jvm: Any = spark._jvm
    loaded = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, table)
    return len(loaded.expireSnapshots().apply())
