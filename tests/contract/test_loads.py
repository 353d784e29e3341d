"""Contract of every warehouse: the table `loads` says which load the rows of a month come from."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from nyc_taxi.conform.plan import conform, write_month
from nyc_taxi.errors import StorageError
from nyc_taxi.settings import settings
from nyc_taxi.sources.file_versions import file_version
from nyc_taxi.storage.parquet_metadata import read_source_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.loads import COLUMNS, Load
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.tables import Table
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse
from tests.support.warehouses import (
    WAREHOUSES,
    EmptyWarehouse,
    empty_bigquery,
    empty_postgres,
    execute,
    read_comments,
)

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
ETAG = 'W/"5f-\\é\'1"'
"""An ETag with every character that SQL quotes or escapes."""
Clean = Callable[..., Path]


@pytest.fixture
def clean(month_file: Callable[..., Path], tmp_path: Path) -> Clean:
    """Return a conformed file: clean(trips, version)."""

    def make(trips: TripMonth, version: str | None = None, rows: int = 2000) -> Path:
        path = tmp_path / f"{trips.stem}-{rows}.parquet"
        return conform(trips, month_file(trips, rows)).write(path, version).path

    return make


def loads(target: EmptyWarehouse) -> dict[tuple[str, date], Load]:
    return {(load.table_name, load.trip_month): load for load in target.open().read_loads()}


def test_load_records_its_source_and_time(target: EmptyWarehouse, clean: Clean) -> None:
    assert target.open().read_loads() == []
    target.open().replace_month(YELLOW, clean(YELLOW, ETAG), {})
    [first] = target.open().read_loads()
    assert astuple(first)[:4] == ("yellow_rides", date(2021, 1, 1), 2000, ETAG)
    assert (
        timedelta()
        <= datetime.now(UTC).replace(tzinfo=None) - first.loaded_at
        < timedelta(minutes=10)
    )
    target.open().replace_month(YELLOW, clean(YELLOW, rows=1000), {})
    [second] = target.open().read_loads()
    assert astuple(second)[:4] == ("yellow_rides", date(2021, 1, 1), 1000, None)
    assert second.load_id != first.load_id
    assert second.loaded_at > first.loaded_at
    about, comments = read_comments(target, "loads")
    assert about
    assert [*comments] and None not in comments.values()


@pytest.mark.slow_on("bigquery", "postgres")
def test_each_month_has_its_own_row(target: EmptyWarehouse, clean: Clean) -> None:
    for trips in (YELLOW, FEBRUARY, TripMonth("green", 2021, 1)):
        target.open().replace_month(trips, clean(trips, str(trips)), {})
    before = loads(target)
    target.open().replace_month(FEBRUARY, clean(FEBRUARY, "new"), {})
    after = loads(target)
    assert after.keys() == before.keys()
    assert {key for key in after if after[key] != before[key]} == {
        ("yellow_rides", date(2021, 2, 1))
    }


@pytest.mark.slow_on("bigquery")
def test_failed_load_is_not_recorded(target: EmptyWarehouse, clean: Clean, tmp_path: Path) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, "old"), {})
    before = loads(target)
    page = tmp_path / "page.parquet"
    page.write_text("<html>")
    with pytest.raises(Exception, match=r"page\.parquet"):
        target.open().replace_month(YELLOW, page, {})
    assert loads(target) == before


@pytest.mark.slow_on("postgres")
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_months_of_an_older_release_are_recorded(
    request: pytest.FixtureRequest, kind: str, clean: Clean
) -> None:
    """Releases up to 0.2 wrote no table `loads` there."""
    target = WAREHOUSES[kind](request)
    for trips, rows in ((YELLOW, 2000), (FEBRUARY, 1000)):
        target.open().replace_month(trips, clean(trips, "etag", rows), {})
    execute(target, "DROP TABLE dezoomcamp.loads")
    for _ in range(2):
        target.open().create_loads()
    found = loads(target)
    assert {(*key, load.row_count, load.source_version) for key, load in found.items()} == {
        ("yellow_rides", date(2021, 1, 1), 2000, None),
        ("yellow_rides", date(2021, 2, 1), 1000, None),
    }
    target.open().replace_month(YELLOW, clean(YELLOW, "etag"), {})
    [changed] = {*loads(target).values()} - {*found.values()}
    assert (changed.trip_month, changed.source_version) == (date(2021, 1, 1), "etag")


@pytest.fixture
def old_bigquery(request: pytest.FixtureRequest) -> EmptyWarehouse:
    """Warehouse with the table `loads` of release 0.2, and a row that a killed load left."""
    target = empty_bigquery(request)
    execute(target, "CREATE SCHEMA dezoomcamp")
    execute(
        target,
        "CREATE TABLE dezoomcamp.loads (color STRING, trip_month DATE, trips INT64,"
        " loaded_at TIMESTAMP)",
    )
    execute(
        target,
        "INSERT INTO dezoomcamp.loads VALUES ('green', DATE '2021-01-01', 7,"
        " TIMESTAMP '2026-01-02 03:04:05+00'), ('green', DATE '2021-02-01', NULL, NULL)",
    )
    return target


def test_old_table_of_bigquery_is_upgraded(old_bigquery: EmptyWarehouse) -> None:
    for _ in range(2):
        old_bigquery.open().create_loads()
    found = loads(old_bigquery)
    assert {(*key, load.row_count, load.source_version) for key, load in found.items()} == {
        ("green_rides", date(2021, 1, 1), 7, None),
        ("green_rides", date(2021, 2, 1), 0, None),
    }
    assert found["green_rides", date(2021, 1, 1)].loaded_at == datetime(2026, 1, 2, 3, 4, 5)
    assert None not in read_comments(old_bigquery, "loads")[1].values()


@pytest.mark.slow
def test_concurrent_loads_upgrade_the_table_once(
    old_bigquery: EmptyWarehouse, clean: Clean
) -> None:
    files = {trips: clean(trips) for trips in (YELLOW, FEBRUARY)}
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(old_bigquery.open().replace_month, trips, file, {})
            for trips, file in files.items()
        ]
    assert [run.result() for run in runs] == [2000, 2000]
    assert sorted(load.row_count for load in loads(old_bigquery).values()) == [0, 7, 2000, 2000]


@pytest.mark.slow_on("bigquery")
def test_table_loads_of_a_user_is_refused(target: EmptyWarehouse, clean: Clean) -> None:
    execute(target, "CREATE SCHEMA dezoomcamp")
    execute(target, "CREATE TABLE dezoomcamp.loads AS SELECT 'hay' AS cargo")
    with pytest.raises(StorageError, match=r"loads has no column table_name, so these flows did"):
        target.open().replace_month(YELLOW, clean(YELLOW), {})
    assert target.query("SELECT * FROM dezoomcamp.loads") == [("hay",)]
    assert target.open().count(YELLOW) == 0


def test_table_of_ingest_data_has_loads_in_its_schema(
    request: pytest.FixtureRequest, clean: Clean
) -> None:
    target = empty_postgres(request)
    warehouse = PostgresWarehouse(find_database(), Table.named("course.trips"))
    warehouse.replace_month(YELLOW, clean(YELLOW, "etag"), {})
    assert [astuple(load)[:4] for load in warehouse.read_loads()] == [
        ("trips", date(2021, 1, 1), 2000, "etag")
    ]
    assert target.query("SELECT count(*) FROM course.loads") == [(1,)]
    assert target.open().read_loads() == []


@pytest.mark.slow_on("bigquery")
def test_read_rows_of_any_table(target: EmptyWarehouse, clean: Clean) -> None:
    warehouse = target.open()
    for table in ("silver.month_builds", "dezoomcamp.loads", "dezoomcamp.rides"):
        assert warehouse.read_rows(table, ["trip_month"]) == []
    warehouse.replace_month(YELLOW, clean(YELLOW, "etag"), {})
    assert warehouse.read_rows("silver.month_builds", ["trip_month"]) == []
    assert warehouse.read_rows("dezoomcamp.rides", ["color"])[0] == ("yellow",)
    [row] = warehouse.read_rows("dezoomcamp.loads", COLUMNS)
    assert [Load(*row)] == warehouse.read_loads()


def test_conformed_file_keeps_the_version_of_its_source(
    month_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = month_file(YELLOW, 2000)
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", str(raw.parent))
    report = write_month(conform(YELLOW, raw), settings())
    assert read_source_version(report.path) == report.version == file_version(raw)
    report = conform(YELLOW, raw).write(tmp_path / "clean.parquet", ETAG)
    assert read_source_version(report.path) == ETAG
    assert read_source_version(conform(YELLOW, raw).write(tmp_path / "plain").path) is None
