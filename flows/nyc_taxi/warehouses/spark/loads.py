"""The table `loads`, derived from the snapshots of the tables.

Iceberg has no transaction over two tables. So a load's identity is in the summary of the snapshot
that holds its rows, and becomes visible with them. Afterwards `record_loads` copies what the
snapshots say into `loads`; if a run is killed in between, the next reader or load does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from datetime import date, datetime
from typing import TYPE_CHECKING

from nyc_taxi.warehouses.base import DATASET, check_is_ours
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, LOADS_COMMENTS, NewLoad
from nyc_taxi.warehouses.spark.columns import literal
from nyc_taxi.warehouses.spark.tables import (
    columns,
    create_or_widen,
    create_schema,
    current_snapshot,
    exists,
    rows_of,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TYPES = {
    "table_name": "string",
    "trip_month": "date",
    "row_count": "bigint",
    "source_version": "string",
    "load_id": "string",
    "loaded_at": "timestamp_ntz",
}
_PREFIX = "nyc-taxi."
"""Of the properties of a snapshot."""


def create_loads(spark: SparkSession, catalog: str) -> None:
    """Create the schema and the table `loads`."""
    create_schema(spark, catalog)
    table = f"{catalog}.{DATASET}.{LOADS}"
    if exists(spark, table):
        check_is_ours(table, columns(spark, table), COLUMNS)
    else:
        create_or_widen(spark, table, _TYPES, COLUMNS, "table_name", LOADS_COMMENTS)


def snapshot_properties(load: NewLoad, months: Iterable[date]) -> dict[str, str]:
    """Return the options of a write that put the load into the summary of its snapshot."""
    given = {
        "load-id": load.load_id,
        "loaded-at": load.loaded_at.isoformat(),
        "months": ",".join(map(str, months)),
    }
    if load.source_version is not None:
        given["source-version"] = load.source_version
    return {f"snapshot-property.{_PREFIX}{name}": value for name, value in given.items()}


def record_loads(spark: SparkSession, catalog: str, *names: str) -> None:
    """Write the months of these tables, by default of all, whose last load `loads` does not have.

    The rows of a month are counted when the load is recorded.
    """
    schema = f"{catalog}.{DATASET}"
    for name in names or _loaded_tables(spark, schema):
        last = _last_loads(spark, f"{schema}.{name}")
        known = _recorded_ids(spark, schema, name)
        new = {month: load for month, load in last.items() if known.get(month) != load.load_id}
        if new:
            _merge(spark, schema, name, new)
            record_loads(spark, catalog, name)  # another load may have committed meanwhile


def _loaded_tables(spark: SparkSession, schema: str) -> list[str]:
    found = [row["tableName"] for row in spark.sql(f"SHOW TABLES IN {schema}").collect()]
    return [name for name in found if name.endswith(("_rides", "_hourly"))]


def _recorded_ids(spark: SparkSession, schema: str, name: str) -> dict[date, str]:
    rows = spark.table(f"{schema}.{LOADS}").where(f"table_name = {literal(name)}").collect()
    return {row["trip_month"]: row["load_id"] for row in rows}


def _last_loads(spark: SparkSession, table: str) -> dict[date, NewLoad]:
    """Return the last load of each month, from the current snapshot back to the first.

    By their parents, not by their times: the clocks of two drivers differ.
    """
    found: dict[date, NewLoad] = {}
    snapshots = spark.sql(f"SELECT snapshot_id, parent_id, summary FROM {table}.snapshots")
    by_id = {row["snapshot_id"]: row for row in snapshots.collect()}
    current = current_snapshot(spark, table)
    while row := by_id.get(current):
        given = {key.removeprefix(_PREFIX): value for key, value in row["summary"].items()}
        if "load-id" in given:
            load = NewLoad(
                given.get("source-version"),
                given["load-id"],
                datetime.fromisoformat(given["loaded-at"]),
            )
            for month in map(date.fromisoformat, given["months"].split(",")):
                found.setdefault(month, load)
        current = row["parent_id"]
    return found


def _count(spark: SparkSession, table: str, month: date) -> int:
    column = "CAST(trunc(time_utc, 'MM') AS DATE)" if table.endswith("_hourly") else "trip_month"
    return rows_of(spark, table, f"{column} = DATE '{month}'")


def _merge(spark: SparkSession, schema: str, name: str, new: Mapping[date, NewLoad]) -> None:
    loads = (
        load.row(name, month, _count(spark, f"{schema}.{name}", month))
        for month, load in new.items()
    )
    rows = ", ".join(f"({', '.join(map(_value, astuple(load)))})" for load in loads)
    spark.sql(
        f"MERGE INTO {schema}.{LOADS} AS loads"
        f" USING (SELECT * FROM VALUES {rows} AS new ({', '.join(COLUMNS)})) AS new"
        f" ON loads.table_name = {literal(name)} AND loads.trip_month = new.trip_month"
        " WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return f"TIMESTAMP_NTZ '{value}'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    if value is None:
        return "CAST(NULL AS STRING)"
    return str(value) if isinstance(value, int) else literal(value)
