"""An empty warehouse of each kind, and a way to query it without the code under test."""

import os
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import duckdb
import psycopg2
import pytest
from google.cloud import bigquery

from nyc_taxi.warehouses.base import Warehouse
from nyc_taxi.warehouses.registry import open_warehouse

LOAD = (
    "from pathlib import Path; from nyc_taxi.warehouses.registry import open_warehouse;"
    "from nyc_taxi.trips.months import TripMonth;"
    "w = open_warehouse('{address}'); print('ready', flush=True);"
    "print(w.replace_month(TripMonth('{color}', {year}, {month}), Path('{file}'), {fill}))"
)

"""Code of a process that loads a month, and can be killed."""


class Place(NamedTuple):
    """A warehouse of the test's own, and a way to ask it that does not go through our code."""

    address: str
    ask: Callable[[str], list[tuple[Any, ...]]]

    def open(self) -> Warehouse:
        return open_warehouse(self.address)


def duckdb_place(request: pytest.FixtureRequest) -> Place:
    path = request.getfixturevalue("tmp_path") / "contract.duckdb"

    def ask(query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path), read_only=True) as db:
            return db.execute(query).fetchall()

    return Place(f"duckdb:{path}", ask)


def bigquery_place(request: pytest.FixtureRequest) -> Place:
    project = request.getfixturevalue("bigquery_block")
    client = bigquery.Client(project=project)

    def ask(query: str) -> list[tuple[Any, ...]]:
        return [row.values() for row in client.query_and_wait(query)]

    return Place(f"bigquery:{project}", ask)


def postgres_place(request: pytest.FixtureRequest) -> Place:
    url = request.getfixturevalue("postgres")

    def ask(query: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(url)) as db, db.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    return Place("postgres:no-such-block", ask)


PLACES = {"duckdb": duckdb_place, "bigquery": bigquery_place, "postgres": postgres_place}


def read_comments(place: Place, table: str) -> tuple[str | None, dict[str, str | None]]:
    """The comment of a table or view, and those of its columns by lower-case name."""
    kind, _, name = place.address.partition(":")
    if kind == "bigquery":
        found = bigquery.Client(project=name).get_table(f"{name}.dezoomcamp.{table}")
        return found.description, {f.name.lower(): f.description for f in found.schema}
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
    [(comment,)] = place.ask(about)
    return comment, {column.lower(): text for column, text in place.ask(columns)}


def write_comment(place: Place, table: str, column: str, text: str) -> None:
    """Comment on a column as a user would."""
    kind, _, name = place.address.partition(":")
    sql = f"COMMENT ON COLUMN dezoomcamp.{table}.{column} IS '{text}'"
    if kind == "bigquery":
        sql = (
            f"ALTER TABLE `{name}.dezoomcamp.{table}` ALTER COLUMN {column} "
            f"SET OPTIONS (description = '{text}')"
        )
        bigquery.Client(project=name).query_and_wait(sql)
    elif kind == "duckdb":
        with duckdb.connect(name) as db:
            db.execute(sql)
    else:
        with closing(psycopg2.connect(os.environ["POSTGRES_URL"])) as link, link:
            link.cursor().execute(sql)
