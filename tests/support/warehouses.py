"""An empty warehouse of each kind, with a query function that bypasses the code under test."""

import os
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple
from uuid import uuid4

import duckdb
import psycopg2
import pytest
from google.cloud import bigquery

from nyc_taxi.warehouses.base import Warehouse
from nyc_taxi.warehouses.registry import open_warehouse

LOAD_SCRIPT = (
    "from pathlib import Path; from nyc_taxi.warehouses.registry import open_warehouse;"
    "from nyc_taxi.trips.months import TripMonth;"
    "w = open_warehouse('{address}'); print('ready', flush=True);"
    "print(w.replace_month(TripMonth('{color}', {year}, {month}), Path('{file}'), {fill}))"
)
"""Python code that loads a month, for a process that a test can kill."""


class EmptyWarehouse(NamedTuple):
    """Address of an empty warehouse, and a query function that bypasses the code under test."""

    address: str
    query: Callable[[str], list[tuple[Any, ...]]]

    def open(self) -> Warehouse:
        return open_warehouse(self.address)


def empty_duckdb(request: pytest.FixtureRequest) -> EmptyWarehouse:
    path = request.getfixturevalue("tmp_path") / "contract.duckdb"

    def query(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path), read_only=True) as db:
            return db.execute(sql).fetchall()

    return EmptyWarehouse(f"duckdb:{path}", query)


def empty_bigquery(request: pytest.FixtureRequest) -> EmptyWarehouse:
    project = request.getfixturevalue("bigquery_block")
    client = bigquery.Client(project=project)

    def query(sql: str) -> list[tuple[Any, ...]]:
        return [row.values() for row in client.query_and_wait(sql)]

    return EmptyWarehouse(f"bigquery:{project}", query)


def empty_postgres(request: pytest.FixtureRequest) -> EmptyWarehouse:
    url = request.getfixturevalue("postgres")

    def query(sql: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(url)) as db, db.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    return EmptyWarehouse("postgres:no-such-block", query)


def empty_spark(request: pytest.FixtureRequest) -> EmptyWarehouse:
    session = request.getfixturevalue("spark")
    folder = request.getfixturevalue("tmp_path") / "ice berg"
    request.getfixturevalue("monkeypatch").setenv("WAREHOUSE_URI", str(folder))
    name = f"test_{uuid4().hex}"

    def query(sql: str) -> list[tuple[Any, ...]]:
        session.sql(f"SET CATALOG {name}")
        return [tuple(row) for row in session.sql(sql).collect()]

    place = EmptyWarehouse(f"spark:{name}", query)
    place.open()  # adds the catalog to the session
    return place


WAREHOUSES = {
    "duckdb": empty_duckdb,
    "bigquery": empty_bigquery,
    "postgres": empty_postgres,
    "spark": empty_spark,
}


@pytest.fixture(params=WAREHOUSES)
def target(request: pytest.FixtureRequest) -> EmptyWarehouse:
    """Each warehouse in turn, empty."""
    return WAREHOUSES[request.param](request)


def read_comments(place: EmptyWarehouse, table: str) -> tuple[str | None, dict[str, str | None]]:
    """Return the comment of a table or view, and the comments of its columns by lower-case name."""
    kind, _, name = place.address.partition(":")
    if kind == "bigquery":
        found = bigquery.Client(project=name).get_table(f"{name}.dezoomcamp.{table}")
        return found.description, {f.name.lower(): f.description for f in found.schema}
    if kind == "spark":
        return _read_spark_comments(place, table)
    if kind == "duckdb":
        about = (
            f"SELECT comment FROM duckdb_tables() WHERE table_name = '{table}' UNION ALL "
            f"SELECT comment FROM duckdb_views() WHERE view_name = '{table}'"
        )
        columns = f"SELECT column_name, comment FROM duckdb_columns() WHERE table_name = '{table}'"
    else:
        oid = f"'dezoomcamp.{table}'::regclass"
        about = f"SELECT obj_description({oid})"
        columns = (
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
            f"WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped"
        )
    [(comment,)] = place.query(about)
    return comment, {column.lower(): text for column, text in place.query(columns)}


def _read_spark_comments(
    place: EmptyWarehouse, table: str
) -> tuple[str | None, dict[str, str | None]]:
    rows = place.query(f"DESCRIBE TABLE EXTENDED dezoomcamp.{table}")
    names = [row[0] for row in rows]
    columns = rows[: min(n for n, name in enumerate(names) if name.startswith("#") or not name)]
    comment = next((row[1] for row in rows[len(columns) :] if row[0] == "Comment"), None)
    return comment, {row[0].lower(): row[2] for row in columns}


def execute(place: EmptyWarehouse, sql: str) -> None:
    """Run SQL as a user would."""
    kind, _, name = place.address.partition(":")
    if kind == "bigquery":
        bigquery.Client(project=name).query_and_wait(sql)
    elif kind == "duckdb":
        with duckdb.connect(name) as db:
            db.execute(sql)
    elif kind == "spark":
        place.query(sql)
    else:
        with closing(psycopg2.connect(os.environ["POSTGRES_URL"])) as link, link:
            link.cursor().execute(sql)


def write_comment(place: EmptyWarehouse, table: str, column: str, text: str) -> None:
    """Comment on a column as a user would."""
    kind, _, name = place.address.partition(":")
    sql = f"COMMENT ON COLUMN dezoomcamp.{table}.{column} IS '{text}'"
    if kind == "bigquery":
        sql = (
            f"ALTER TABLE `{name}.dezoomcamp.{table}` ALTER COLUMN {column} "
            f"SET OPTIONS (description = '{text}')"
        )
    if kind == "spark":
        sql = f"ALTER TABLE dezoomcamp.{table} ALTER COLUMN {column} COMMENT '{text}'"
    execute(place, sql)
