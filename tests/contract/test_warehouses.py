"""Contract of every warehouse: a load replaces its month as a whole, or changes nothing."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from nyc_taxi.trips.months import TripMonth
from tests.support.month_loads import FILL, Clean, in_cents, sums
from tests.support.warehouses import EmptyWarehouse

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)


def test_load_stores_the_rows_of_the_file(target: EmptyWarehouse, clean: Clean) -> None:
    file = clean(YELLOW, 5000)
    assert target.open().count(YELLOW) == 0
    assert target.open().replace_month(YELLOW, file, {}) == 5000
    assert target.open().count(YELLOW) == 5000
    with duckdb.connect() as db:
        expected = db.execute(
            f"SELECT DATE '2021-01-01', count(*), sum(total_amount), sum(PULocationID), "
            f"count(passenger_count) FROM '{file}'"
        ).fetchall()
    assert sums(target) == in_cents(expected)


@pytest.mark.slow_on("bigquery")
def test_load_is_idempotent(target: EmptyWarehouse, clean: Clean) -> None:
    for _ in range(2):
        target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    first = sums(target)
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert sums(target) == first
    assert first[0][1] == 5000


def test_load_replaces_its_month_only(target: EmptyWarehouse, clean: Clean) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    target.open().replace_month(FEBRUARY, clean(FEBRUARY, 3000), FILL)
    february = sums(target)[1]
    target.open().replace_month(YELLOW, clean(YELLOW, 2000, seed=7), FILL)
    assert [row[1] for row in sums(target)] == [2000, 3000]
    assert sums(target)[1] == february


@pytest.mark.slow_on("bigquery")
def test_load_fills_nulls_only_on_request(target: EmptyWarehouse, clean: Clean) -> None:
    file = clean(YELLOW, 5000)
    known = pq.read_table(file, columns=["passenger_count"])["passenger_count"]
    assert known.null_count > 0
    target.open().replace_month(YELLOW, file, {})
    assert sums(target)[0][4] == 5000 - known.null_count
    target.open().replace_month(YELLOW, file, FILL)
    assert sums(target)[0][4] == 5000


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(1)
@pytest.mark.parametrize("order", [(2021, 2025), (2025, 2021)])
def test_load_adds_new_columns_and_keeps_old_ones(
    target: EmptyWarehouse, clean: Clean, order: tuple[int, int], month_file: Callable[..., Path]
) -> None:
    for year in order:
        trips = TripMonth("green", year, 1)
        target.open().replace_month(trips, clean(trips, 2000), FILL)
    later = TripMonth("green", 2026, 6)
    target.open().replace_month(later, clean(later, 2000), FILL)
    counts = target.query(
        "SELECT trip_month, count(*), count(cbd_congestion_fee), count(request_source) "
        "FROM dezoomcamp.green_rides GROUP BY trip_month ORDER BY 1"
    )
    assert [row[1] for row in counts] == [2000, 2000, 2000]
    assert [row[2] > 0 for row in counts] == [False, True, True]
    assert [row[3] > 0 for row in counts] == [False, False, True]


def test_view_rides_combines_yellow_and_green(target: EmptyWarehouse, clean: Clean) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert target.query("SELECT DISTINCT color FROM dezoomcamp.rides") == [("yellow",)]
    target.open().replace_month(GREEN, clean(GREEN, 2000), FILL)
    rides = target.query(
        "SELECT color, count(*), count(pickup_datetime), count(dropoff_datetime), "
        "count(passenger_count) FROM dezoomcamp.rides GROUP BY color ORDER BY color"
    )
    assert rides == [("green", 2000, 2000, 2000, 2000), ("yellow", 5000, 5000, 5000, 5000)]


@pytest.mark.slow_on("bigquery")
def test_load_accepts_an_empty_month(target: EmptyWarehouse, clean: Clean, tmp_path: Path) -> None:
    full, empty = clean(YELLOW, 2000), tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(full).slice(0, 0), empty)
    assert target.open().replace_month(YELLOW, empty, FILL) == 0
    assert target.open().count(YELLOW) == 0
    target.open().replace_month(YELLOW, full, FILL)
    assert target.open().replace_month(YELLOW, empty, FILL) == 0
    assert target.open().count(YELLOW) == 0


@pytest.mark.slow_on("bigquery")
def test_load_of_a_file_that_is_not_parquet_changes_nothing(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    page = tmp_path / "page.parquet"
    page.write_text("<html>")
    with pytest.raises(Exception, match=r"page\.parquet"):
        target.open().replace_month(YELLOW, page, FILL)
    assert target.open().count(YELLOW) == 5000
