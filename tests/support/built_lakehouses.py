"""Warehouses with months of all services and eras in bronze, and silver and gold of them."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import psycopg2
import pytest
from psycopg2.extensions import quote_ident

from nyc_taxi.trips.months import TripMonth
from tests.support.bronze import load_hours, load_trips, write_zones_table
from tests.support.lakehouses import Lakehouse, on_duckdb, on_postgres, on_spark

JANUARY, FEBRUARY = "2021-01-01", "2021-02-01"
MONTHS = (
    TripMonth("yellow", 2009, 1),
    TripMonth("yellow", 2021, 1),
    TripMonth("yellow", 2025, 3),
    TripMonth("green", 2021, 1),
    TripMonth("green", 2021, 2),
    TripMonth("fhv", 2015, 1),
    TripMonth("fhv", 2021, 1),
    TripMonth("fhvhv", 2019, 2),
    TripMonth("fhvhv", 2021, 1),
)
ROWS = 1500


def load_bronze(
    lakehouse: Lakehouse,
    folder: Path,
    month_file: Callable[..., Path],
    months: Iterable[TripMonth] = MONTHS,
) -> None:
    for trips in months:
        load_trips(lakehouse.warehouse, trips, month_file(trips, ROWS), folder)
    lakehouse.warehouse.replace_table("zones", write_zones_table(folder))
    first, last = datetime.date(2020, 12, 30), datetime.date(2021, 3, 3)
    load_hours(lakehouse.warehouse, first, last, folder)


@pytest.fixture(scope="session")
def duck(tmp_path_factory: pytest.TempPathFactory, month_file: Callable[..., Path]) -> Lakehouse:
    """Silver and gold of all months, built at once, on DuckDB."""
    return built(on_duckdb(tmp_path_factory.mktemp("duckdb")), tmp_path_factory, month_file)


@pytest.fixture(scope="session")
def elephant(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: str,
    month_file: Callable[..., Path],
) -> Iterator[Lakehouse]:
    """The same on PostgreSQL."""
    with empty_database(postgres_server) as url:
        lakehouse = on_postgres(tmp_path_factory.mktemp("postgres"), url)
        yield built(lakehouse, tmp_path_factory, month_file)


@pytest.fixture(scope="session")
def iceberg(
    tmp_path_factory: pytest.TempPathFactory, spark: Any, month_file: Callable[..., Path]
) -> Lakehouse:
    """The same on Spark."""
    folder = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_URI", str(folder / "iceberg"))
        patch.setenv("NYC_TAXI_DATA_DIR", str(folder))
        lakehouse = on_spark(folder, spark, f"models_{uuid4().hex}")
    return built(lakehouse, tmp_path_factory, month_file)


def built(
    lakehouse: Lakehouse,
    folders: pytest.TempPathFactory,
    month_file: Callable[..., Path],
) -> Lakehouse:
    load_bronze(lakehouse, folders.mktemp("clean"), month_file)
    statuses = lakehouse.dbt.build(unit_tests=True)
    assert set(statuses.values()) <= {"success", "pass"}
    lakehouse.dbt.publish()
    return lakehouse


@pytest.fixture
def lakehouse(duck: Lakehouse, tmp_path: Path) -> Lakehouse:
    """A copy of the one on DuckDB, to change."""
    source = Path(duck.dbt.environment["NYC_TAXI_DBT_PATH"])
    shutil.copy(source, tmp_path / "warehouse.duckdb")
    copied = on_duckdb(tmp_path)
    copied.dbt.manifest = duck.dbt.manifest
    return copied


@contextmanager
def empty_database(server: str, name: str = "", options: str = "") -> Iterator[str]:
    """Create a database on the server for the block; yields its URL."""
    name = name or f"lakehouse_{uuid4().hex}"
    with closing(psycopg2.connect(server)) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(f"CREATE DATABASE {quote_ident(name, db)} {options}")
        yield urlsplit(server)._replace(path=f"/{quote(name, safe='')}").geturl()
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        cursor.execute(f"DROP DATABASE {quote_ident(name, db)}")
