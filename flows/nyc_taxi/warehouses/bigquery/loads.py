"""The table `loads` in BigQuery, and its upgrade from the columns of release 0.2."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from google.api_core.exceptions import BadRequest
from google.cloud.bigquery import SchemaField, Table

from nyc_taxi.warehouses.base import check_is_ours
from nyc_taxi.warehouses.bigquery.dataset import Dataset
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, LOADS_COMMENTS, NewLoad

SCHEMA = [
    SchemaField("table_name", "STRING"),
    SchemaField("trip_month", "DATE"),
    SchemaField("row_count", "INT64"),
    SchemaField("source_version", "STRING"),
    SchemaField("load_id", "STRING"),
    SchemaField("loaded_at", "DATETIME"),
]
OLD_COLUMNS = {"color", "trip_month", "trips", "loaded_at"}
"""Columns of `loads` up to release 0.2."""


def create_loads(dataset: Dataset, run: str) -> None:
    """Create the table, or upgrade it."""
    name = dataset.table(LOADS)
    found = dataset.find(name) or dataset.create_table(Table(name, SCHEMA), LOADS_COMMENTS)
    if {field.name for field in found.schema} == OLD_COLUMNS:
        found = _upgrade(dataset, found, run)
    check_is_ours(name, (field.name for field in found.schema), COLUMNS)


def _upgrade(dataset: Dataset, found: Table, run: str) -> Table:
    """Give the table today's columns in one atomic statement, which fails if it has them."""
    name = dataset.table(LOADS)
    try:
        dataset.jobs.query(
            f"CREATE OR REPLACE TABLE `{name}` AS SELECT CONCAT(color, '_rides') AS table_name,"
            " trip_month, COALESCE(trips, 0) AS row_count, CAST(NULL AS STRING) AS source_version,"
            " GENERATE_UUID() AS load_id, DATETIME(loaded_at) AS loaded_at"
            f" FROM `{name}` WHERE TRUE QUALIFY"
            " ROW_NUMBER() OVER (PARTITION BY color, trip_month ORDER BY loaded_at DESC) = 1",
            f"upgrade-loads-{run}",
        )
    except BadRequest:
        upgraded = dataset.find(name)
        if upgraded is None or upgraded.schema == found.schema:
            raise
    dataset.comment(name, LOADS_COMMENTS)
    return dataset.find(name) or found


def begin_sql(loads: str, table: str, months: Iterable[date], load: NewLoad) -> str:
    """Return SQL that adds a row, with 0 rows and no version, for each month that has none.

    BigQuery aborts all but one of the transactions that delete the same row at once. Without a row
    to delete, two first loads of a month would both insert one:
    https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
    """
    nothing = replace(load, source_version=None)
    return (
        f"MERGE INTO `{loads}` AS loads USING (SELECT {_text(table)} AS table_name, trip_month"
        f" FROM UNNEST({_dates(months)}) AS trip_month) AS new"
        " ON loads.table_name = new.table_name AND loads.trip_month = new.trip_month"
        f" WHEN NOT MATCHED THEN INSERT ({', '.join(COLUMNS)})"
        f" VALUES (new.table_name, new.trip_month, 0, {_values(nothing)})"
    )


def delete_sql(loads: str, table: str, months: Iterable[date]) -> str:
    return (
        f"DELETE FROM `{loads}` WHERE table_name = {_text(table)}"
        f" AND trip_month IN UNNEST({_dates(months)})"
    )


def insert_sql(loads: str, table: str, months: Iterable[date], rows: str, load: NewLoad) -> str:
    """Return SQL that inserts a row per month; `rows` is SQL of the rows of `trip_month`."""
    return (
        f"INSERT INTO `{loads}` ({', '.join(COLUMNS)})"
        f" SELECT {_text(table)}, trip_month, {rows}, {_values(load)}"
        f" FROM UNNEST({_dates(months)}) AS trip_month"
    )


def _values(load: NewLoad) -> str:
    version = "CAST(NULL AS STRING)" if load.source_version is None else _text(load.source_version)
    return f"{version}, {_text(load.load_id)}, DATETIME '{load.loaded_at}'"


def _dates(months: Iterable[date]) -> str:
    return f"[{', '.join(f'DATE {str(month)!r}' for month in months)}]"


def _text(value: str) -> str:
    """Return a string literal; BigQuery has the escapes of JSON."""
    return json.dumps(value, ensure_ascii=False)
