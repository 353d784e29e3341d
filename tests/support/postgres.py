"""A PostgreSQL server that tests may kill, fill up or restart, and queries and loads."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg2
import pytest

from local_services.postgres import PostgresServer
from local_services.process import free_port
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.tables import Table
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse


@pytest.fixture(scope="module")
def own_postgres_server() -> Iterator[PostgresServer]:
    """Server of one test file."""
    with TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o711)  # root runs PostgreSQL as an unprivileged user
        server = PostgresServer(Path(folder) / "data", free_port())
        server.up()
        yield server
        server.down()


@pytest.fixture
def own_postgres(
    own_postgres_server: PostgresServer, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgresServer]:
    """Running server of the test file, with an empty database, set as POSTGRES_URL."""
    own_postgres_server.up()
    monkeypatch.setenv("POSTGRES_URL", own_postgres_server.url)
    yield own_postgres_server
    own_postgres_server.up()
    own_postgres_server.psql("DROP SCHEMA IF EXISTS dezoomcamp CASCADE", "ny_taxi")


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url, client_encoding="UTF8")) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def warehouse(table: str | None = None) -> PostgresWarehouse:
    """The warehouse of POSTGRES_URL, with its own table for each color or one for all."""
    return PostgresWarehouse(find_database(), Table.named(table) if table else None)


def load(file: Path, table: str | None = None) -> int:
    """Load yellow 2021-01; returns the number of rows."""
    return warehouse(table).replace_month(TripMonth("yellow", 2021, 1), file, {})
