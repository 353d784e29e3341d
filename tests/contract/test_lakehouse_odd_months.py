"""Silver and gold of odd months: equal tables on DuckDB and PostgreSQL, and nothing is lost."""

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.schemas import Type
from tests.support.bronze import load_hours
from tests.support.built_lakehouses import empty_database
from tests.support.lakehouses import Lakehouse, on_duckdb, on_postgres
from tests.support.odd_months import ODD_MONTHS, write_odd_month

ROWS = 400
TEXTS: Mapping[str, Mapping[str, Type]] = {
    table: {"ratecodeid": "VARCHAR"} for table in ("yellow_rides", "green_rides")
}
"""Types that a user may choose: silver then reads the numbers from the text."""
CENTS = "CAST(CAST({0} AS DECIMAL(18, 6)) AS DECIMAL(18, 2))"

pytestmark = pytest.mark.slow


def load_odd_months(lakehouse: Lakehouse, folder: Path, month_file: Callable[..., Path]) -> None:
    """Load the months, the last one first, and three days of air and weather."""
    rules = Rules(folder, TEXTS, {})
    for name in reversed(ODD_MONTHS):
        trips = ODD_MONTHS[name][0]
        raw, clean = write_odd_month(name, month_file, folder, ROWS), folder / "clean.parquet"
        conform(trips, raw, rules).write(clean)
        lakehouse.warehouse.replace_month(trips, clean, {})
    first = datetime.date(2021, 3, 13)
    load_hours(lakehouse.warehouse, first, first + datetime.timedelta(3), folder)


def test_odd_months_give_equal_tables_that_add_up(
    tmp_path: Path, month_file: Callable[..., Path], postgres_server: str
) -> None:
    with empty_database(postgres_server) as url:
        for kind in ("duckdb", "postgres"):
            (tmp_path / kind).mkdir()
        duck, elephant = on_duckdb(tmp_path / "duckdb"), on_postgres(tmp_path / "postgres", url)
        for lakehouse, folder in ((duck, "duckdb"), (elephant, "postgres")):
            load_odd_months(lakehouse, tmp_path / folder, month_file)
            lakehouse.dbt.build_and_publish(max_rejected_fraction=1)
        differing = [t for t in duck.tables() if duck.rows(t) != elephant.rows(t)]
        assert differing == []
    for name, (trips, _) in ODD_MONTHS.items():
        raw = tmp_path / "duckdb" / f"{trips.stem}.parquet"
        where = f"WHERE service = '{trips.color}' AND trip_month = DATE '{trips.first_day}'"
        [(rows,)] = duck.query(f"SELECT count(*) FROM '{raw}'")
        found = duck.query(f"SELECT bronze_rows FROM gold.month_quality {where}")
        assert found == ([(rows,)] if rows else []), name
        if trips.color in ("yellow", "green") and trips.year > 2009:
            total = CENTS.format("CASE WHEN abs(total) < 1e9 THEN total END")
            expected = duck.query(
                f"SELECT sum({total}) FROM (SELECT CAST(total_amount AS DOUBLE) AS total"
                f" FROM '{raw}')"
            )
            assert expected == duck.query(
                f"SELECT sum({total}) FROM (SELECT total_amount AS total, service, trip_month FROM"
                " silver.trips UNION ALL SELECT total_amount, service, trip_month FROM"
                f" silver.trips_rejected) {where}"
            ), name
