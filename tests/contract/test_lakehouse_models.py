"""Contract of silver and gold: equal tables on every warehouse, and sums equal to the raw files."""

import datetime
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import duckdb
import psycopg2
import pytest

from nyc_taxi.trips.descriptions import CODES
from nyc_taxi.trips.months import TripMonth
from tests.support.bronze import load_hours, load_trips, write_zones_table
from tests.support.dbt_runs import PROJECT, DbtFailedError
from tests.support.lakehouses import (
    Lakehouse,
    name_destinations,
    on_bigquery,
    on_duckdb,
    on_postgres,
    on_spark,
)
from tests.support.processes import start
from tests.support.report_pages import page_of

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


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory, month_file: Callable[..., Path]) -> Lakehouse:
    """Silver and gold of all months, built at once, on DuckDB."""
    return built(on_duckdb(tmp_path_factory.mktemp("duckdb")), tmp_path_factory, month_file)


@pytest.fixture(scope="module")
def elephant(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: str,
    month_file: Callable[..., Path],
) -> Iterator[Lakehouse]:
    """The same on PostgreSQL."""
    name = f"lakehouse_{uuid4().hex}"
    with closing(psycopg2.connect(postgres_server)) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(f"CREATE DATABASE {name}")
        url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
        lakehouse = on_postgres(tmp_path_factory.mktemp("postgres"), url)
        yield built(lakehouse, tmp_path_factory, month_file)
        cursor.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture(scope="module")
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


@pytest.mark.slow
def test_tables_are_equal_on_every_warehouse(duck: Lakehouse, elephant: Lakehouse) -> None:
    assert len(duck.tables()) == 19
    assert elephant.tables() == duck.tables()
    for table in duck.tables():
        assert list(elephant.columns(table)) == list(duck.columns(table)), table
        assert elephant.rows(table) == duck.rows(table), table
    assert page_of(elephant) == page_of(duck)


@pytest.mark.cluster
def test_tables_are_equal_on_spark(duck: Lakehouse, iceberg: Lakehouse) -> None:
    for table in duck.tables():
        assert list(iceberg.columns(table)) == list(duck.columns(table)), table
        assert iceberg.rows(table) == duck.rows(table), table
    assert page_of(iceberg) == page_of(duck)


def test_sums_are_equal_to_the_raw_files(duck: Lakehouse, month_file: Callable[..., Path]) -> None:
    """Nothing is lost between the file and gold: rows, and dollars to the cent."""
    query = duck.query
    for trips in MONTHS:
        columns = {"yellow": "total_amount", "green": "total_amount"}
        total = columns.get(trips.color, "NULL")
        raw = month_file(trips, ROWS)
        if trips.color == "yellow" and trips.year == 2009:
            total = "Total_Amt"
        if trips.color == "fhvhv":
            total = "base_passenger_fare"
        with duckdb.connect() as db:
            [expected] = db.execute(
                f"SELECT count(*), round(sum(CAST({total} AS DOUBLE)), 2) FROM '{raw}'"
            ).fetchall()
        column = "fare_amount" if trips.color == "fhvhv" else "total_amount"
        where = f"WHERE service = '{trips.color}' AND trip_month = DATE '{trips.first_day}'"
        [found] = query(
            f"SELECT count(*), round(sum(CAST({column} AS DOUBLE)), 2) FROM (SELECT service, "
            f"trip_month, {column} FROM silver.trips UNION ALL SELECT service, trip_month, "
            f"{column} FROM silver.trips_rejected) {where}"
        )
        assert found == expected, trips
        [(rows, rejected)] = query(
            f"SELECT bronze_rows, rejected_rows FROM gold.month_quality {where}"
        )
        assert rows == ROWS
        assert rejected > 0
        [(silver,)] = query(f"SELECT sum(trips) FROM gold.trips_by_hour {where}")
        assert silver == rows - rejected


@pytest.mark.slow
def test_months_one_by_one_give_the_tables_of_all_at_once(lakehouse: Lakehouse) -> None:
    expected = lakehouse.state()
    lakehouse.execute("DROP SCHEMA silver CASCADE; DROP SCHEMA gold CASCADE")
    months = sorted({str(trips.first_day) for trips in MONTHS})
    parts = ["silver", "dims", "facts"]
    for month in months:
        lakehouse.dbt.build_and_publish(months=[month], parts=parts)
        parts = ["silver", "facts"]  # dimensions once
    found = lakehouse.state()
    # Built from all months alone: hours of months without trips.
    for table in ("silver.air_quality_hourly", "silver.weather_hourly", "silver.month_builds"):
        months_found = {row[:1] for row in found[table]}
        expected[table] = [row for row in expected[table] if row[:1] in months_found]
    assert found == expected


@pytest.mark.slow
def test_a_month_without_rejected_rows_keeps_none_of_the_old(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    where = f"WHERE service = 'fhv' AND trip_month = DATE '{JANUARY}'"
    assert lakehouse.query(f"SELECT count(*) > 0 FROM silver.trips_rejected {where}") == [(True,)]
    lakehouse.execute(
        "DELETE FROM dezoomcamp.fhv_rides WHERE dropOff_datetime < pickup_datetime OR "
        f"year(pickup_datetime) <> 2021 AND trip_month = DATE '{JANUARY}'"
    )
    before = lakehouse.rows("gold.trips_by_payment")
    lakehouse.dbt.build_and_publish(months=[JANUARY])
    assert lakehouse.query(f"SELECT count(*) FROM silver.trips_rejected {where}") == [(0,)]
    assert lakehouse.query(
        f"SELECT sum(matching_rows) FROM gold.rejections {where} AND action = 'reject'"
    ) == [(0,)]
    assert lakehouse.rows("gold.trips_by_payment") == before


def test_a_failed_test_leaves_every_table_as_it_was(lakehouse: Lakehouse) -> None:
    """The message names the month, the limit and the rules."""
    before = _hashes(lakehouse)
    with pytest.raises(DbtFailedError) as problem:
        lakehouse.dbt.build(
            "--select", "tag:silver", "--indirect-selection", "empty",
            months=[JANUARY], parts=["silver"], max_rejected_fraction=0.0001,
        )  # fmt: skip
    assert "fhv 2021-01: " in str(problem.value)
    assert "max_rejected_fraction allows 0.0 %" in str(problem.value)
    assert "dropoff_before_pickup" in str(problem.value)
    assert _hashes(lakehouse) == before


def _hashes(lakehouse: Lakehouse) -> dict[str, Any]:
    """Content of every table on DuckDB, much faster than its rows."""
    query = "SELECT count(*), bit_xor(hash(t)) FROM {} AS t"
    return {table: lakehouse.query(query.format(table)) for table in lakehouse.tables()}


@pytest.mark.slow
def test_publish_adds_and_drops_columns(lakehouse: Lakehouse) -> None:
    """The live table is of an older shape: it has another column, lacks one, and one is text."""
    expected = lakehouse.state()
    lakehouse.execute(
        "ALTER TABLE gold.trips_by_hour ADD COLUMN old_column BIGINT;"
        "ALTER TABLE gold.trips_by_hour DROP COLUMN voids;"
        "ALTER TABLE gold.trips_by_hour ALTER COLUMN passengers TYPE VARCHAR"
    )
    months = sorted({str(trips.first_day) for trips in MONTHS})
    lakehouse.dbt.build_and_publish(months=months)
    assert "old_column" not in lakehouse.columns("gold.trips_by_hour")
    found = sorted(
        lakehouse.query(f"SELECT {', '.join(_names(expected, lakehouse))} FROM gold.trips_by_hour"),
        key=repr,
    )
    assert found == expected["gold.trips_by_hour"]


def _names(expected: Any, lakehouse: Lakehouse) -> list[str]:
    names = list(lakehouse.columns("gold.trips_by_hour"))
    names.remove("voids")
    names.insert(names.index("trips") + 1, "voids")
    return names


@pytest.mark.slow
def test_one_service_alone_gives_every_table(
    tmp_path: Path, month_file: Callable[..., Path]
) -> None:
    """A new user has loaded one color, and neither zones nor hours nor loads."""
    lakehouse = on_duckdb(tmp_path)
    trips = TripMonth("green", 2021, 1)
    load_trips(lakehouse.warehouse, trips, month_file(trips, ROWS), tmp_path)
    lakehouse.dbt.build_and_publish()
    assert lakehouse.query("SELECT service, bronze_rows FROM gold.month_quality") == [
        ("green", ROWS)
    ]
    assert len(lakehouse.rows("gold.dim_zone")) == 265
    assert lakehouse.rows("silver.air_quality_hourly") == []
    lakehouse.execute("ALTER TABLE dezoomcamp.green_rides DROP COLUMN trip_type")
    lakehouse.dbt.build_and_publish()
    assert lakehouse.query("SELECT count(trip_type_id) FROM silver.trips") == [(0,)]
    lakehouse.execute(
        "DROP VIEW dezoomcamp.rides; ALTER TABLE dezoomcamp.green_rides DROP COLUMN PULocationID"
    )
    with pytest.raises(DbtFailedError, match=r"dezoomcamp\.green_rides has no column PULocationID"):
        lakehouse.dbt.build()


def test_every_table_and_column_has_a_comment(duck: Lakehouse) -> None:
    without = (
        "SELECT table_name FROM duckdb_tables() WHERE schema_name IN ('silver', 'gold') AND comment"
        " IS NULL UNION ALL SELECT table_name || '.' || column_name FROM duckdb_columns() WHERE "
        "schema_name IN ('silver', 'gold') AND comment IS NULL"
    )
    assert duck.query(without) == []


@pytest.mark.slow
def test_every_table_and_column_has_a_comment_in_postgres(elephant: Lakehouse) -> None:
    without = (
        "SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('silver', 'gold') "
        "AND attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NULL"
    )
    assert elephant.query(without) == []


def test_every_rule_is_listed_for_every_month(duck: Lakehouse) -> None:
    query = duck.query
    months, rules, zero = query(
        "SELECT count(DISTINCT (service, trip_month)), count(DISTINCT rule), "
        "count(*) FILTER (matching_rows = 0) FROM gold.rejections"
    )[0]
    assert months == len(MONTHS)
    assert zero > 0
    assert query("SELECT count(*) FROM gold.rejections") == [(months * rules,)]


def test_codes_are_those_of_the_data_dictionary(duck: Lakehouse) -> None:
    query = duck.query
    for key, code in (
        ("payment_type", "payment_type"), ("rate_code", "RatecodeID"), ("vendor", "VendorID")
    ):  # fmt: skip
        found = query(f"SELECT {key}_id, {key} FROM gold.dim_{key} WHERE {key}_id >= 0")
        assert dict(found) == dict(CODES[code])


def test_codes_are_unknown_in_files_older_than_their_dictionary(duck: Lakehouse) -> None:
    """Payment type 0 is declared since the edition for the files of 2025."""
    rows = duck.query(
        "SELECT trip_month, service, count(*) FROM (SELECT service, trip_month, payment_type_id "
        "FROM silver.trips UNION ALL SELECT service, trip_month, payment_type_id FROM "
        "silver.trips_rejected) WHERE payment_type_id = 0 GROUP BY ALL ORDER BY ALL"
    )
    older = [row for row in rows if row[0].year < 2025]
    assert older
    assert older != rows
    assert older == duck.query(
        "SELECT trip_month, service, trips FROM gold.unknown_codes WHERE code = '0' AND "
        "column_name = 'payment_type_id' ORDER BY ALL"
    )


@pytest.mark.parametrize(
    ("day", "holiday", "observed"),
    [
        ("2021-01-18", "Birthday of Martin Luther King, Jr.", None),
        ("2022-05-30", "Memorial Day", None),
        ("2023-11-23", "Thanksgiving Day", None),
        ("2020-06-19", "Juneteenth", None),
        ("2019-06-19", None, None),
        ("2021-12-24", None, "Christmas Day"),
        ("2021-12-31", None, "New Year's Day"),
        ("2022-12-26", None, "Christmas Day"),
        ("2024-11-05", "Election Day", None),
        ("2022-11-01", None, None),
        ("2022-11-08", "Election Day", None),
        ("2024-02-12", "Lincoln's Birthday", None),
    ],
)
def test_holidays(duck: Lakehouse, day: str, holiday: str | None, observed: str | None) -> None:
    assert duck.query(
        "SELECT coalesce(us_holiday, new_york_holiday), observed_us_holiday FROM gold.dim_date "
        f"WHERE date_day = DATE '{day}'"
    ) == [(holiday, observed)]


def test_a_day_has_the_air_of_its_own_hours(duck: Lakehouse) -> None:
    """The evening of January 31 is in February in UTC."""
    query = duck.query
    [(hours, aqi)] = query(
        "SELECT count(*), max(us_aqi) FROM dezoomcamp.air_quality_hourly WHERE location = 'queens' "
        "AND time_utc >= TIMESTAMP '2021-01-31 05:00:00' "
        "AND time_utc < TIMESTAMP '2021-02-01 05:00:00'"
    )
    assert query(
        "SELECT DISTINCT air_hours, us_aqi_max, weather_hours FROM gold.trips_and_air_by_day WHERE "
        f"pickup_date = DATE '2021-01-31' AND location = 'queens' AND trip_month = DATE '{JANUARY}'"
    ) == [(24, aqi, 24)]
    assert hours == 24


def test_month_builds_record_the_loads(duck: Lakehouse) -> None:
    """An hourly table's month also serves the one before: evenings are in the next day of UTC."""
    loads = duck.query("SELECT table_name, trip_month, load_id FROM dezoomcamp.loads")
    expected = {(month, table, month, load, "") for table, month, load in loads}
    expected |= {
        ((month - datetime.timedelta(1)).replace(day=1), table, month, load, "")
        for table, month, load in loads
        if table.endswith("_hourly")
    }
    columns = "trip_month, table_name, source_month, load_id, definition"
    assert set(duck.query(f"SELECT {columns} FROM silver.month_builds")) == expected


def test_amounts_are_exact_decimals(duck: Lakehouse) -> None:
    [(total,)] = duck.query("SELECT sum(total_amount) FROM gold.trips_by_route")
    assert isinstance(total, Decimal)
    assert duck.query("SELECT sum(total_amount) FROM silver.trips") == [(total,)]


@pytest.mark.slow
def test_tables_are_equal_on_bigquery(
    bigquery_block: str,
    month_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the emulator."""
    name_destinations(monkeypatch)
    months = [trips for trips in MONTHS if (trips.year, trips.month) == (2021, 1)]
    both = []
    for name in ("duckdb", "bigquery"):
        folder = tmp_path / name
        (folder / "clean").mkdir(parents=True)
        lakehouse = on_duckdb(folder) if name == "duckdb" else on_bigquery(folder, bigquery_block)
        load_bronze(lakehouse, folder / "clean", month_file, months)
        lakehouse.dbt.build(unit_tests=True)
        lakehouse.dbt.publish()
        both.append(lakehouse)
    first, second = both
    for table in first.tables():
        assert second.rows(table) == first.rows(table), table
    assert page_of(second) == page_of(first)
    second.dbt.build_and_publish(months=[JANUARY])
    assert second.rows("gold.trips_by_hour") == first.rows("gold.trips_by_hour")


PUBLISH = """
from dbt.cli.main import dbtRunner

def listen(event):
    if event.info.name == "SQLQuery" and "delete from" in event.data.sql:
        print("publishing", flush=True)

variables = "{months: ['2021-01-01', '2021-02-01']}"
dbtRunner(callbacks=[listen]).invoke(
    ["--quiet", "run-operation", "publish", "--vars", variables]
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_publish_is_atomic_when_killed(
    kind: str, share: float, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every table then has the state before or the state after; a rerun completes it."""
    lakehouse: Lakehouse = request.getfixturevalue("lakehouse" if kind == "duckdb" else "elephant")
    before = lakehouse.state()
    lakehouse.execute("DELETE FROM dezoomcamp.green_rides WHERE VendorID = 1")
    try:
        lakehouse.dbt.build(months=[JANUARY, FEBRUARY])
        began = time.monotonic()
        _kill_publish(lakehouse, None)
        whole = time.monotonic() - began
        after = lakehouse.state()
        assert after != before
        lakehouse.execute("DELETE FROM dezoomcamp.green_rides WHERE VendorID = 2")
        lakehouse.dbt.build(months=[JANUARY, FEBRUARY])
        _kill_publish(lakehouse, min(whole, 1.0) * share)
        found = lakehouse.state()
        lakehouse.dbt.build_and_publish(months=[JANUARY, FEBRUARY])
        assert found in (after, lakehouse.state())
        assert lakehouse.state() != after
    finally:
        if kind == "postgres":
            _restore_green(lakehouse, request, tmp_path)


def _restore_green(lakehouse: Lakehouse, request: pytest.FixtureRequest, folder: Path) -> None:
    month_file = request.getfixturevalue("month_file")
    for trips in MONTHS:
        if trips.color == "green":
            load_trips(lakehouse.warehouse, trips, month_file(trips, ROWS), folder)
    lakehouse.dbt.build_and_publish()


def _kill_publish(lakehouse: Lakehouse, after: float | None) -> None:
    """Run publish in another process; kill it that many seconds after its transaction began."""
    with start("-c", PUBLISH, cwd=PROJECT, **lakehouse.dbt.environment) as run:
        assert run.stdout
        assert run.stdout.readline() == "publishing\n"
        if after is None:
            assert run.wait() == 0
            return
        time.sleep(after)
        run.kill()


NEW_RULE = """
- name: is_airport_trip
  action: flag
  sql: pickup_zone_id in (1, 132, 138)
  why: Trips from an airport queue.
  example: {pickup_zone_id: 132}
{%- endset -%}"""


@pytest.mark.slow
def test_a_new_rule_touches_one_file(duck: Lakehouse, tmp_path: Path) -> None:
    """Its column, comment and counts follow; a rule that does not parse is named."""
    lakehouse = _with_rules(duck, tmp_path, NEW_RULE)
    lakehouse.dbt.build_and_publish()
    [(flagged,)] = lakehouse.query("SELECT count(*) FROM silver.trips WHERE is_airport_trip")
    assert flagged > 0
    assert lakehouse.query(
        "SELECT sum(matching_rows) FROM gold.rejections WHERE rule = 'is_airport_trip'"
    ) >= [(flagged,)]
    assert lakehouse.query(
        "SELECT comment FROM duckdb_columns() WHERE column_name = 'is_airport_trip' LIMIT 1"
    ) == [("Trips from an airport queue.",)]
    for broken, message in (
        ("pickup_zone_id in (1, 132", "rule is_airport_trip"),
        ("pickup_zone = 132", "rule is_airport_trip"),
        ("pickup_zone_id = 138", "each_rule_matches_its_example"),
    ):
        folder = tmp_path / str(len(broken))
        folder.mkdir()
        rule = NEW_RULE.replace("pickup_zone_id in (1, 132, 138)", broken)
        with pytest.raises(DbtFailedError, match=message):
            _with_rules(duck, folder, rule).dbt.build()


def _with_rules(duck: Lakehouse, folder: Path, rule: str) -> Lakehouse:
    shutil.copytree(PROJECT, folder / "dbt")
    rules = folder / "dbt" / "macros" / "rules.sql"
    rules.write_text(rules.read_text().replace("{%- endset -%}", rule, 1))
    shutil.copy(duck.dbt.environment["NYC_TAXI_DBT_PATH"], folder / "warehouse.duckdb")
    return on_duckdb(folder, folder / "dbt")


RAW_CSV = "all_varchar = true, delim = ',', header = true, quote = '', strict_mode = false"


def real_files(real: Path) -> dict[TripMonth, Path]:
    """Months and samples that the TLC has published."""
    files = {
        TripMonth("green", *map(int, f.stem.split("_")[-1].split("-"))): f
        for f in (real / "trip-data").glob("green_*.parquet")
    }
    files[TripMonth("green", 2020, 4)] = real / "csv" / "green_tripdata_2020-04.csv.gz"
    samples = real / "samples"
    files[TripMonth("yellow", 2025, 1)] = samples / "yellow_tripdata_2025-01_sample.parquet"
    for year in (2019, 2020):
        sample = samples / f"yellow_tripdata_sample_{year}-01.csv"
        files[TripMonth("yellow", year, 1)] = sample
    files[TripMonth("fhvhv", 2021, 1)] = samples / "fhvhv_tripdata_2021-01.sample.csv"
    return files


def built_of(lakehouse: Lakehouse, files: dict[TripMonth, Path], folder: Path) -> Lakehouse:
    for trips, file in files.items():
        load_trips(lakehouse.warehouse, trips, file, folder)
    lakehouse.dbt.build_and_publish()
    return lakehouse


@pytest.mark.slow
@pytest.mark.cluster
def test_real_months_on_spark(
    real: Path, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URI", str(tmp_path / "iceberg"))
    files = real_files(real)
    (tmp_path / "duckdb").mkdir()
    duck = built_of(on_duckdb(tmp_path / "duckdb"), files, tmp_path)
    iceberg = built_of(on_spark(tmp_path, spark, f"real_{uuid4().hex}"), files, tmp_path)
    for table in duck.tables():
        assert iceberg.rows(table) == duck.rows(table), table


@pytest.mark.slow
def test_real_months(real: Path, tmp_path: Path, postgres_server: str) -> None:
    """Published files of the TLC: equal tables, and the sums of the files."""
    name, files = f"lakehouse_{uuid4().hex}", real_files(real)
    with closing(psycopg2.connect(postgres_server)) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(f"CREATE DATABASE {name}")
        url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
        both = []
        for kind in ("duckdb", "postgres"):
            folder = tmp_path / kind
            folder.mkdir()
            lakehouse = on_duckdb(folder) if kind == "duckdb" else on_postgres(folder, url)
            both.append(built_of(lakehouse, files, folder))
        first, second = both
        for table in first.tables():
            assert second.rows(table) == first.rows(table), table
        cursor.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        cursor.execute(f"DROP DATABASE {name}")
    for trips, file in files.items():
        if trips.color == "fhvhv":
            continue
        where = f"WHERE service = '{trips.color}' AND trip_month = DATE '{trips.first_day}'"
        source = f"'{file}'" if file.suffix == ".parquet" else f"read_csv('{file}', {RAW_CSV})"
        with duckdb.connect() as raw:
            [expected] = raw.execute(
                f"SELECT count(*), sum(CAST(total_amount AS DECIMAL(18, 2))) FROM {source}"
            ).fetchall()
        assert [expected] == first.query(
            "SELECT count(*), sum(CAST(total_amount AS DECIMAL(18, 2))) FROM (SELECT service, "
            "trip_month, total_amount FROM silver.trips UNION ALL SELECT service, trip_month, "
            f"total_amount FROM silver.trips_rejected) {where}"
        ), trips


def test_documentation_lists_every_table_and_rule(duck: Lakehouse) -> None:
    page = (PROJECT.parent / "docs" / "lakehouse.md").read_text()
    names = [table.partition(".")[2] for table in duck.tables()]
    names += [rule for (rule,) in duck.query("SELECT DISTINCT rule FROM gold.rejections")]
    assert [name for name in names if f"{name}`" not in page] == []
