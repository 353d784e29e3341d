"""Iceberg tables: creation, new columns, comments, and files to load."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nyc_taxi.trips.table_comments import NO_COMMENTS, Comments
from nyc_taxi.warehouses.base import DATASET, check_is_ours
from nyc_taxi.warehouses.spark.columns import Types, check_types, literal, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PROPERTIES = {
    "commit.retry.num-retries": "20",
    # A load writes one partition: shuffling its rows by partition would leave them to one task.
    "write.distribution-mode": "none",
    # Old metadata files are of no use once snapshots expire.
    "write.metadata.delete-after-commit.enabled": "true",
}
"""Of new tables."""


def exists(spark: SparkSession, table: str) -> bool:
    """Return whether there is a table or view."""
    from pyspark.errors import AnalysisException

    try:
        spark.table(table)
    except AnalysisException as problem:
        if problem.getCondition() in ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"):
            return False
        raise
    return True


def columns(spark: SparkSession, table: str) -> dict[str, str]:
    """Return lower-case name -> type, in the table's order."""
    return {field.name.lower(): field.dataType.simpleString() for field in _fields(spark, table)}


def _fields(spark: SparkSession, table: str) -> list[Any]:
    return list(spark.table(table).schema.fields)


def create_schema(spark: SparkSession, catalog: str) -> None:
    spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {catalog}.{DATASET}")


def create_or_widen(
    spark: SparkSession,
    table: str,
    types: Types,
    key: Collection[str],
    partition: str,
    comments: Comments = NO_COMMENTS,
    is_declared: Callable[[str, str], bool] = lambda name, kind: True,
) -> None:
    """Create the table, or add the columns that it lacks, and write the comments that differ.

    Raises StorageError for a table without `key`, or a column of another type.
    """
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {table} ({_definitions(types, comments)}) USING iceberg"
        f" PARTITIONED BY ({partition}) TBLPROPERTIES ({_pairs(PROPERTIES)})"
    )
    have = columns(spark, table)
    check_is_ours(table, have, key)
    check_types(table, types, have, is_declared)
    new = {name: kind for name, kind in types.items() if name.lower() not in have}
    if new:
        spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({_definitions(new, comments)})")
    comment(spark, table, comments)


def _definitions(types: Types, comments: Comments) -> str:
    texts = {name.lower(): text for name, text in comments.columns.items()}
    return ", ".join(
        f"{quoted(name)} {kind}"
        + (f" COMMENT {literal(text)}" if (text := texts.get(name.lower())) else "")
        for name, kind in types.items()
    )


def _pairs(properties: dict[str, str]) -> str:
    return ", ".join(f"{literal(key)} = {literal(value)}" for key, value in properties.items())


def read_comments(spark: SparkSession, table: str) -> Comments:
    """Return the comments of a table and all of its columns."""
    texts = {field.name: field.metadata.get("comment", "") for field in _fields(spark, table)}
    return Comments(_detail(spark, table, "Comment"), texts)


def comment(spark: SparkSession, table: str, comments: Comments) -> None:
    """Write the comments that differ."""
    changes = comments.changes(read_comments(spark, table))
    if changes.table:
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('comment' = {literal(changes.table)})")
    for name, text in changes.columns.items():
        spark.sql(f"ALTER TABLE {table} ALTER COLUMN {quoted(name)} COMMENT {literal(text)}")


def commented(frame: DataFrame, comments: Comments) -> DataFrame:
    """Return the rows with the comments in their schema, from which a table is created."""
    texts = {name.lower(): text for name, text in comments.columns.items() if text}
    for name in frame.columns:
        if text := texts.get(name.lower()):
            frame = frame.withMetadata(name, {"comment": text})
    return frame


def rows_of(spark: SparkSession, table: str, where: str) -> int:
    [row] = spark.sql(f"SELECT count(*) FROM {table} WHERE {where}").collect()
    return int(row[0])


def snapshot_options(spark: SparkSession, table: str) -> dict[str, str]:
    """Return the options of a write that fails if another one changes what it reads from now on."""
    current = current_snapshot(spark, table)
    options = {"isolation-level": "serializable"}
    return options | ({"validate-from-snapshot-id": str(current)} if current else {})


def current_snapshot(spark: SparkSession, table: str) -> int | None:
    found = spark.sql(f"SELECT snapshot_id FROM {table}.refs WHERE name = 'main'").first()
    return found and int(found[0])


@contextmanager
def file_rows(spark: SparkSession, table: str, parquet: Path | str) -> Iterator[DataFrame]:
    """Yield the rows of a file of this machine, through a copy that every executor can read.

    The copy is in the folder of `table`, where maintenance removes it after a crash.
    """
    if "://" in str(parquet):
        yield spark.read.parquet(str(parquet))
        return
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path
    files, folder = table_folder(spark, table)
    copy = path(folder, f"staging/{uuid4().hex}.parquet")
    files.mkdirs(copy.getParent())
    files.copyFromLocalFile(False, True, path(jvm.java.io.File(str(parquet)).toURI()), copy)
    try:
        yield spark.read.parquet(str(copy))
    finally:
        files.delete(copy, False)


def table_folder(spark: SparkSession, table: str) -> tuple[Any, Any]:
    """Return Hadoop's FileSystem and Path of the folder of a table."""
    jvm: Any = spark._jvm
    folder = jvm.org.apache.hadoop.fs.Path(_detail(spark, table, "Location"))
    return folder.getFileSystem(spark._jsc.hadoopConfiguration()), folder


def data_bytes(spark: SparkSession, table: str) -> int:
    """Return the bytes of the current data files; 0 if the table does not exist."""
    if not exists(spark, table):
        return 0
    [row] = spark.sql(f"SELECT sum(file_size_in_bytes) FROM {table}.files").collect()
    return int(row[0] or 0)


def _detail(spark: SparkSession, table: str, name: str) -> str:
    """Return a detail of the table, such as Location or Comment; empty if it has none."""
    details = spark.sql(f"DESCRIBE TABLE EXTENDED {table}").collect()
    first = next(n for n, row in enumerate(details) if row[0] == "# Detailed Table Information")
    return next((str(value) for found, value, _ in details[first:] if found == name), "")
