"""Silver and gold on DuckDB: nothing is lost, and every table means what its description says."""

import datetime
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nyc_taxi.trips.descriptions import CODES
from nyc_taxi.trips.months import TripMonth
from tests.support.bronze import load_trips
from tests.support.built_lakehouses import (
    JANUARY,
    MONTHS,
    ROWS,
)
from tests.support.dbt_runs import PROJECT, DbtFailedError
from tests.support.lakehouses import (
    Lakehouse,
    on_duckdb,
)


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


def test_documentation_lists_every_table_and_rule(duck: Lakehouse) -> None:
    page = (PROJECT.parent / "docs" / "lakehouse.md").read_text()
    names = [table.partition(".")[2] for table in duck.tables()]
    names += [rule for (rule,) in duck.query("SELECT DISTINCT rule FROM gold.rejections")]
    assert [name for name in names if f"{name}`" not in page] == []


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
