"""The flow that loads bronze, against a synthetic TLC site and a stand-in for Open-Meteo."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import pyarrow as pa
import pytest

from nyc_taxi.errors import InvalidInputError, PartialFailureError
from nyc_taxi.sources import open_meteo_months
from nyc_taxi.sources.open_meteo_files import write_month
from nyc_taxi.sources.open_meteo_months import HourlyMonth
from nyc_taxi.sources.open_meteo_tables import POINTS, WEATHER
from nyc_taxi.storage.parquet_metadata import read_source_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.loads import Load
from synthetic_tlc import Site, write_zones
from synthetic_tlc.open_meteo import OpenMeteo
from tests.support.processes import start
from tests.support.warehouses import WAREHOUSES, EmptyWarehouse, read_comments

from .flow import bronze
from .plan import Dates, plan_hours, plan_trips, run_dates
from .tasks import is_unchanged

pytestmark = pytest.mark.usefixtures("prefect_server")

YELLOW, GREEN = TripMonth("yellow", 2022, 8), TripMonth("green", 2022, 8)
RANGE: dict[str, Any] = {"start_date": date(2022, 8, 3), "end_date": date(2022, 8, 20)}
HOURS = (31 + 30) * 24 * len(POINTS)
"""Rows of an hourly table: September has, in UTC, New York's last evening of August."""
DAY = timedelta(days=1)


@pytest.fixture
def sources(
    site: Site, open_meteo: OpenMeteo, tmp_path: Path, month_file: Callable[..., Path]
) -> OpenMeteo:
    """Publish two of the four colors, and the zones."""
    for trips in (YELLOW, GREEN):
        made = month_file(trips, 500)
        os.link(made, tmp_path / "site" / made.name)
    write_zones(tmp_path / "site" / "misc")
    return open_meteo


def query(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def loads(tmp_path: Path) -> dict[str, tuple[int, str]]:
    """Return table -> rows and load ids."""
    rows = query(
        tmp_path,
        "SELECT table_name, sum(row_count)::int, string_agg(load_id ORDER BY trip_month) "
        "FROM dezoomcamp.loads GROUP BY table_name",
    )
    return {table: (count, ids) for table, count, ids in rows}


def requests(server: OpenMeteo) -> list[str]:
    """Return the API and the dates of each request, and forget them."""
    found = []
    for one in server.requests:
        url = urlsplit(one.path)
        query = parse_qs(url.query)
        found.append(f"{url.path[4:]} {query['start_date'][0]} {query['end_date'][0]}")
    server.requests.clear()
    return sorted(found)


BOTH = ["air-quality 2022-08-01 2022-09-30", "archive 2022-08-01 2022-09-30"]


@pytest.mark.slow
def test_upsert_loads_what_is_published_once(sources: OpenMeteo, tmp_path: Path) -> None:
    """Two colors are not published: not an error. A second run finds nothing to load."""
    assert bronze(**RANGE) == 2 * 500 + 2 * HOURS
    assert requests(sources) == BOTH
    first = loads(tmp_path)
    assert {table: rows for table, (rows, _) in first.items()} == {
        "yellow_rides": 500,
        "green_rides": 500,
        "air_quality_hourly": HOURS,
        "weather_hourly": HOURS,
    }
    assert query(tmp_path, "SELECT count(*) FROM dezoomcamp.zones") == [(265,)]
    assert query(tmp_path, "SELECT count(*) > 0 FROM dezoomcamp.vendors") == [(True,)]
    assert (tmp_path / "lake/data/weather/weather_2022-08.parquet").is_file()
    assert query(
        tmp_path,
        "SELECT location, count(*), min(time_utc), max(time_utc), count(DISTINCT load_id) "
        "FROM dezoomcamp.weather_hourly GROUP BY ALL ORDER BY ALL LIMIT 1",
    ) == [("bronx", 61 * 24, datetime(2022, 8, 1), datetime(2022, 9, 30, 23), 2)]
    assert query(
        tmp_path,
        "SELECT string_agg(load_id ORDER BY month) FROM (SELECT DISTINCT load_id, "
        "month(time_utc) AS month FROM dezoomcamp.weather_hourly)",
    ) == [(first["weather_hourly"][1],)]
    check_comments(tmp_path)
    assert bronze(**RANGE) == 0
    assert requests(sources) == []
    assert loads(tmp_path) == first


def check_comments(tmp_path: Path) -> None:
    rows = query(
        tmp_path,
        "SELECT comment FROM duckdb_columns() WHERE table_name LIKE '%_hourly' UNION ALL "
        "SELECT comment FROM duckdb_tables() WHERE table_name = 'air_quality_hourly'",
    )
    assert all(comment for (comment,) in rows)
    assert "modelled, not measured" in rows[-1][0]


@pytest.fixture(params=["postgres", "bigquery"])
def target(request: pytest.FixtureRequest) -> EmptyWarehouse:
    return WAREHOUSES[request.param](request)


@pytest.mark.slow
def test_upsert_loads_into_every_warehouse(
    target: EmptyWarehouse, sources: OpenMeteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", target.address)
    assert bronze(**RANGE) == 2 * 500 + 2 * HOURS
    first = target.open().read_loads()
    assert sorted((load.table_name, load.row_count) for load in first) == [
        ("air_quality_hourly", 30 * 24 * 6),
        ("air_quality_hourly", 31 * 24 * 6),
        ("green_rides", 500),
        ("weather_hourly", 30 * 24 * 6),
        ("weather_hourly", 31 * 24 * 6),
        ("yellow_rides", 500),
    ]
    comment, columns = read_comments(target, "air_quality_hourly")
    assert comment and "modelled, not measured" in comment and all(columns.values())
    assert target.query(
        "SELECT location, count(*), count(ozone) FROM dezoomcamp.air_quality_hourly "
        "GROUP BY location ORDER BY location LIMIT 1"
    ) == [("bronx", 61 * 24, 61 * 24)]
    assert bronze(**RANGE) == 0
    assert set(target.open().read_loads()) == set(first)


@pytest.mark.slow
def test_hours_are_fetched_again_until_they_are_settled(
    sources: OpenMeteo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal values are not loaded again, so that nothing built from them becomes stale."""
    monkeypatch.setattr(open_meteo_months, "SETTLED", timedelta(days=36_500))
    bronze(**RANGE)
    first = loads(tmp_path)
    assert requests(sources) == BOTH
    assert bronze(**RANGE) == 0
    assert requests(sources) == BOTH
    assert loads(tmp_path) == first
    sources.revision = 0.5
    assert bronze(**RANGE) == 2 * HOURS
    revised = loads(tmp_path)
    for table in ("air_quality_hourly", "weather_hourly"):
        assert revised[table][1] != first[table][1]
    assert revised["yellow_rides"] == first["yellow_rides"]
    monkeypatch.setattr(open_meteo_months, "SETTLED", timedelta())
    assert bronze(**RANGE) == 0


@pytest.mark.slow
def test_backfill_fetches_everything_again(sources: OpenMeteo, tmp_path: Path) -> None:
    """Trips are loaded again, hours where their values have changed."""
    assert bronze(mode="backfill", **RANGE) == 2 * 500 + 2 * HOURS
    first = loads(tmp_path)
    assert bronze(mode="backfill", **RANGE) == 2 * 500
    again = loads(tmp_path)
    assert requests(sources) == sorted(2 * BOTH)
    changed = {table for table, load in again.items() if load != first[table]}
    assert changed == {"yellow_rides", "green_rides"} and len(again) == 4
    sources.revision = 0.5
    assert bronze(mode="backfill", **RANGE) == 2 * 500 + 2 * HOURS


@pytest.mark.slow
def test_failure_of_open_meteo_does_not_stop_the_trips(sources: OpenMeteo, tmp_path: Path) -> None:
    refusal = b'{"error":true,"reason":"Parameter \'hourly\' is wrong"}'
    sources.answer(400, path="/archive", body=refusal, times=None)
    with pytest.raises(
        PartialFailureError, match=r"weather 2022-08 to 2022-09: Open-Meteo refuses .*'hourly'"
    ):
        bronze(**RANGE)
    assert set(loads(tmp_path)) == {"yellow_rides", "green_rides", "air_quality_hourly"}


@pytest.mark.slow
def test_missing_zones_do_not_stop_the_run(sources: OpenMeteo, tmp_path: Path) -> None:
    """Mirrors of the TLC's site often have months only."""
    for path in (tmp_path / "site" / "misc").iterdir():
        path.unlink()
    assert bronze(**RANGE) == 2 * 500 + 2 * HOURS
    tables = query(tmp_path, "SELECT table_name FROM duckdb_tables()")
    assert ("vendors",) in tables and ("zones",) not in tables


# --- the plan ---


def test_trips_are_planned_from_the_first_month_of_each_color() -> None:
    months = plan_trips(Dates(date(2013, 7, 31), date(2013, 8, 1), True))
    assert [str(month) for month in months] == [
        "yellow 2013-07",
        "yellow 2013-08",
        "green 2013-08",
    ]
    assert len(plan_trips(Dates(date(2023, 12, 1), date(2024, 2, 29), True))) == 12


def test_hours_are_planned_to_the_last_evening_in_new_york() -> None:
    """A year of a table is one request; the evening of a month's last day is in the next month."""
    dates = Dates(date(2023, 11, 5), date(2024, 2, 29), True)
    assert [str(request) for request in plan_hours("backfill", dates, {})] == [
        "air_quality 2023-11 to 2023-12",
        "air_quality 2024-01 to 2024-03",
        "weather 2023-11 to 2023-12",
        "weather 2024-01 to 2024-03",
    ]
    today = datetime.now(UTC).date()
    newest = plan_hours("upsert", Dates(today, today, True), {})
    assert [request.last_day for request in newest] == [today, today]


def load_of(table: str, month: date, days: int = 8) -> tuple[tuple[str, date], Load]:
    """Return a load `days` after the end of the month."""
    end = (month + 32 * DAY).replace(day=1)
    loaded = datetime.combine(end, datetime.min.time()) + days * DAY
    return (table, month), Load(table, month, 1, None, "id", loaded)


def test_upsert_skips_settled_hours_and_adds_those_of_loaded_trips() -> None:
    settled = dict([load_of(WEATHER.name, date(2024, 1, 1))])
    early = dict([load_of(WEATHER.name, date(2024, 1, 1), days=6)])
    given = Dates(date(2024, 1, 10), date(2024, 1, 20), True)
    names = [str(request) for request in plan_hours("upsert", given, settled)]
    assert names == ["air_quality 2024-01 to 2024-02", "weather 2024-02"]
    assert "weather 2024-01 to 2024-02" in map(str, plan_hours("upsert", given, early))
    trips = dict([load_of("yellow_rides", date(2015, 12, 1))])
    default = Dates(date(2024, 1, 1), date(2024, 1, 20), False)
    assert [str(request) for request in plan_hours("upsert", default, settled | trips)] == [
        "air_quality 2024-01 to 2024-02",
        "weather 2015-12",
        "weather 2016-01",
        "weather 2024-02",
    ]
    assert plan_hours("upsert", given, settled | trips) == plan_hours("upsert", given, settled)


def test_equal_values_are_loaded_once_more_when_they_are_settled(tmp_path: Path) -> None:
    rows = pa.table({"time_utc": [datetime(2024, 5, 1)], "fetched_at": [datetime.now()]})
    months = [HourlyMonth(WEATHER, 2024, 5), HourlyMonth(WEATHER, date.today().year, 12)]
    settled, recent = (write_month(month, rows, tmp_path) for month in months)
    version = read_source_version(settled)
    assert version and version != read_source_version(recent)
    for month, parquet, known, days, expected in (
        (months[0], settled, version, 6, False),
        (months[0], settled, version, 8, True),
        (months[0], settled, "another", 8, False),
        (months[1], recent, read_source_version(recent), -5, True),
        (months[1], recent, version, -5, False),
    ):
        key, load = load_of(WEATHER.name, month.first_day, days)
        assert is_unchanged(month, parquet, {key: replace(load, source_version=known)}) == expected
        assert not is_unchanged(month, parquet, {})


def test_backfill_needs_a_start() -> None:
    with pytest.raises(InvalidInputError, match="--start-date"):
        run_dates("backfill", None, None)
    assert run_dates("upsert", None, None).end == date.today()


# --- the script ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--mode full", "mode"),
        ("--start-date 2024-05-02 --end-date 2024-05-01", "2024-05-01 is before --start-date"),
        ("--end-date 2999-01-01", "--end-date 2999-01-01 is in the future"),
        ("--start-date 2024-13-01", "'2024-13-01' is not a date; write YYYY-MM-DD"),
        ("--mode backfill", "a backfill needs a first day"),
    ],
)
def test_invalid_option_is_one_line(options: str, message: str) -> None:
    with start("-m", "lakehouse.bronze.flow", *options.split()) as run:
        output = run.communicate()[0]
    assert run.returncode == 1
    assert message in output.splitlines()[-1]
    assert "Traceback" not in output


def content(tmp_path: Path) -> list[list[tuple[Any, ...]]]:
    tables = ("yellow_rides", "green_rides", "weather_hourly", "air_quality_hourly")
    hide = "EXCLUDE (load_id, fetched_at)"
    return [
        query(
            tmp_path,
            f"SELECT * {hide if 'hourly' in table else ''} FROM dezoomcamp.{table} ORDER BY ALL",
        )
        for table in tables
    ]


@pytest.mark.slow
def test_killed_run_is_completed_by_the_next(sources: OpenMeteo, tmp_path: Path) -> None:
    """Killed when the first table is loaded, then run again: equal to one clean run."""
    options = ["--start-date", "2022-08-03", "--end-date", "2022-08-20"]
    with start("flows/lakehouse/bronze/flow.py", *options) as run:
        deadline = time.monotonic() + 90
        while not (tmp_path / "lake/data/air_quality").is_dir():
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    with start("flows/lakehouse/bronze/flow.py", *options) as run:
        output = run.communicate()[0]
    assert run.returncode == 0, output
    assert "total rows: " in output
    found = content(tmp_path)
    assert [len(rows) for rows in found] == [500, 500, HOURS, HOURS]
    (tmp_path / "warehouse.duckdb").unlink()
    bronze(mode="upsert", **RANGE)
    assert content(tmp_path) == found
