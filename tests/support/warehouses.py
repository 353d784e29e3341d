"""An empty warehouse of each kind, and a way to query it without the code under test."""

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
