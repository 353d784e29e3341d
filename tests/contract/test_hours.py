"""Contract of every warehouse: a load of hours replaces them as a whole, or changes nothing."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.storage.parquet_metadata import SOURCE_VERSION
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.base import lookup_table_name
from nyc_taxi.warehouses.hours import Hours
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.processes import start, wait_until_ready
from tests.support.warehouses import (
    EmptyWarehouse,
    empty_postgres,
    execute,
    read_comments,
)

TABLE = "weather_hourly"
PLACES = ("bronx", "newark_airport")
HOUR = timedelta(hours=1)
NEW_YEAR = datetime(2025, 1, 1)
Hourly = Callable[..., Path]


@pytest.fixture
def hourly(tmp_path: Path) -> Hourly:
    """Return a file of the hours: hourly(first, last, rain), or with other columns: snow=0.5."""

    def make(first: datetime, last: datetime, rain: float = 0.5, **more: Any) -> Path:
        times = [first + HOUR * n for n in range((last - first) // HOUR)] * len(PLACES)
        places = [place for place in PLACES for _ in range(len(times) // len(PLACES))]
        table = pa.table(
            {
                "location": pa.array(places, pa.string()),
                "time_utc": pa.array(times, pa.timestamp("us")),
                "rain": pa.array([rain] * len(times), pa.float64()),
                **{name: [value] * len(times) for name, value in more.items()},
            }
        )
        path = tmp_path / f"{first:%Y%m%d%H}-{last:%Y%m%d%H}-{rain}-{'-'.join(more)}.parquet"
        pq.write_table(table.replace_schema_metadata({SOURCE_VERSION: f"rain {rain}"}), path)
        return path

    return make


def load(
    target: EmptyWarehouse, hourly: Hourly, first: datetime, last: datetime, rain: float = 0.5
) -> int:
    return target.open().replace_hours(TABLE, hourly(first, last, rain), first, last)


def rows(target: EmptyWarehouse) -> list[tuple[Any, ...]]:
    """Return the hours of each value: rain, rows, first and last hour."""
    return target.query(
        "SELECT rain, count(*), min(time_utc), max(time_utc) "
        f"FROM dezoomcamp.{TABLE} GROUP BY rain ORDER BY rain"
    )


def test_hours_are_replaced_and_others_kept(target: EmptyWarehouse, hourly: Hourly) -> None:
    first, last = NEW_YEAR - 3 * HOUR, NEW_YEAR + 3 * HOUR
    for _ in range(2):
        assert load(target, hourly, first, last, 1.0) == 12
        assert rows(target) == [(1.0, 12, first, last - HOUR)]
    assert load(target, hourly, NEW_YEAR - HOUR, NEW_YEAR + HOUR, 2.0) == 4
    assert rows(target) == [
        (1.0, 8, first, last - HOUR),
        (2.0, 4, NEW_YEAR - HOUR, NEW_YEAR),
    ]
    december, january = sorted(target.open().read_loads(), key=lambda load: load.trip_month)
    for found, month in ((december, date(2024, 12, 1)), (january, date(2025, 1, 1))):
        assert (found.table_name, found.trip_month, found.row_count) == (TABLE, month, 6)
        assert found.source_version == "rain 2.0"
        assert timedelta() <= datetime.now(UTC).replace(tzinfo=None) - found.loaded_at < HOUR
    assert december.load_id == january.load_id
    ids = target.query(f"SELECT DISTINCT load_id FROM dezoomcamp.{TABLE} WHERE rain = 2.0")
    assert ids == [(january.load_id,)]


@pytest.mark.slow_on("bigquery")
def test_hours_without_rows_are_removed(target: EmptyWarehouse, hourly: Hourly) -> None:
    """The source no longer has them."""
    first, last = NEW_YEAR, NEW_YEAR + 4 * HOUR
    load(target, hourly, first, last, 1.0)
    fewer = hourly(first, first + HOUR, 2.0)
    assert target.open().replace_hours(TABLE, fewer, first, last - HOUR) == 2
    assert [row[:2] for row in rows(target)] == [(1.0, 2), (2.0, 2)]
    empty = hourly(first, first, 3.0)
    assert target.open().replace_hours(TABLE, empty, first, last) == 0
    assert rows(target) == []
    assert [load.row_count for load in target.open().read_loads()] == [0]


@pytest.mark.slow_on("bigquery")
def test_hours_add_columns_and_keep_old_ones(target: EmptyWarehouse, hourly: Hourly) -> None:
    first, last = NEW_YEAR, NEW_YEAR + HOUR
    load(target, hourly, first, last)
    wider = hourly(last, last + HOUR, snow=1.5, load_id="of the file")
    target.open().replace_hours(TABLE, wider, last, last + HOUR)
    load(target, hourly, last + HOUR, last + 2 * HOUR)
    columns = target.query(f"SELECT count(*), count(rain), count(snow) FROM dezoomcamp.{TABLE}")
    assert columns == [(6, 6, 2)]
    ids = target.query(f"SELECT count(DISTINCT load_id), min(load_id) FROM dezoomcamp.{TABLE}")
    assert ids[0][0] == 3
    assert ids[0][1] != "of the file"


@pytest.mark.slow_on("bigquery")
def test_hours_reject_another_type(target: EmptyWarehouse, hourly: Hourly) -> None:
    first, last = NEW_YEAR, NEW_YEAR + HOUR
    load(target, hourly, first, last)
    for odd in (3, "much"):
        file = hourly(first, last, wet=odd)
        table = pq.read_table(file)
        pq.write_table(table.drop_columns(["rain"]).rename_columns({"wet": "rain"}), file)
        with pytest.raises(StorageError, match=r"column rain is .* in the file"):
            target.open().replace_hours(TABLE, file, first, last)
    assert [row[:2] for row in rows(target)] == [(0.5, 2)]
    assert [load.row_count for load in target.open().read_loads()] == [2]


def _zoned(table: pa.Table) -> pa.Table:
    return table.set_column(1, "time_utc", table["time_utc"].cast(pa.timestamp("us", "UTC")))


def _late(table: pa.Table) -> pa.Table:
    later = pc.add(table["time_utc"], pa.scalar(timedelta(minutes=30)))
    return table.set_column(1, "time_utc", later)


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: pa.concat_tables([table, table.slice(0, 1)]), "an hour twice for one"),
        (lambda table: table.drop_columns(["location"]), "lacks location or time_utc"),
        (_late, "not the start of an hour"),
        (_zoned, r"has time_utc as timestamp\[us, tz=UTC\]"),
        (
            lambda table: table.set_column(0, "location", pa.nulls(len(table), pa.string())),
            "without location or time_utc",
        ),
    ],
)
def test_hours_reject_a_file_of_another_grain(
    target: EmptyWarehouse, hourly: Hourly, change: Callable[[pa.Table], pa.Table], says: str
) -> None:
    first, last = NEW_YEAR, NEW_YEAR + 2 * HOUR
    load(target, hourly, first, last)
    odd = hourly(first, last, 2.0)
    pq.write_table(change(pq.read_table(odd)), odd)
    with pytest.raises(StorageError, match=says):
        target.open().replace_hours(TABLE, odd, first, last)
    assert [row[:2] for row in rows(target)] == [(0.5, 4)]


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(1)
@pytest.mark.parametrize("shift", [-HOUR, HOUR])
def test_hours_reject_an_hour_outside_the_range(
    target: EmptyWarehouse, hourly: Hourly, shift: timedelta
) -> None:
    first, last = NEW_YEAR, NEW_YEAR + 2 * HOUR
    file = hourly(first + shift, last + shift)
    with pytest.raises(StorageError, match="outside of 2025-01-01 00:00 to 2025-01-01 02:00 UTC"):
        target.open().replace_hours(TABLE, file, first, last)
    assert target.open().read_loads() == []


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (NEW_YEAR, NEW_YEAR, "is empty"),
        (NEW_YEAR + HOUR, NEW_YEAR, "is empty"),
        (NEW_YEAR, NEW_YEAR + timedelta(minutes=90), "01:30:00 is not an hour"),
        (NEW_YEAR.replace(tzinfo=UTC), NEW_YEAR, "is not an hour; write whole hours of UTC"),
    ],
)
def test_range_of_hours_is_checked(first: datetime, last: datetime, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        Hours(first, last)


@pytest.mark.parametrize("name", ["weather", "Weather_hourly", "a b_hourly", "x.weather_hourly"])
def test_hours_reject_an_invalid_name(hourly: Hourly, tmp_path: Path, name: str) -> None:
    last = NEW_YEAR + HOUR
    warehouse = open_warehouse(f"duckdb:{tmp_path / 'hours.duckdb'}")
    with pytest.raises(InvalidInputError, match="not a valid name for an hourly table"):
        warehouse.replace_hours(name, hourly(NEW_YEAR, last), NEW_YEAR, last)


def test_lookup_tables_cannot_have_the_name_of_an_hourly_table() -> None:
    with pytest.raises(InvalidInputError, match="weather_hourly"):
        lookup_table_name(TABLE)


@pytest.mark.slow_on("bigquery")
def test_hours_reject_a_table_of_a_user(target: EmptyWarehouse, hourly: Hourly) -> None:
    target.open().create_loads()
    execute(target, f"CREATE TABLE dezoomcamp.{TABLE} AS SELECT 'sunny' AS sky")
    with pytest.raises(StorageError, match=f"{TABLE} has no column location, so these flows did"):
        load(target, hourly, NEW_YEAR, NEW_YEAR + HOUR)
    assert target.query(f"SELECT * FROM dezoomcamp.{TABLE}") == [("sunny",)]


@pytest.mark.slow_on("bigquery")
def test_hours_write_comments(target: EmptyWarehouse, hourly: Hourly) -> None:
    comments = Comments("Hourly weather", {"rain": "Rain (mm)."})
    first, last = NEW_YEAR, NEW_YEAR + HOUR
    for _ in range(2):
        target.open().replace_hours(TABLE, hourly(first, last), first, last, comments)
        about, found = read_comments(target, TABLE)
        assert (about, found["rain"], found["location"]) == ("Hourly weather", "Rain (mm).", None)
    about, found = read_comments(target, "loads")
    assert about and [name for name, text in found.items() if not text] == []


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(1)
@pytest.mark.parametrize("ahead", [0, 2])
def test_concurrent_loads_of_hours_succeed(
    target: EmptyWarehouse, hourly: Hourly, ahead: int
) -> None:
    """Of a table that does not exist: with nothing to delete, other tools insert hours twice."""
    first, last = NEW_YEAR - 4 * HOUR, NEW_YEAR + 4 * HOUR
    files = {n: hourly(first + n * ahead * HOUR, last, float(n)) for n in range(3)}
    with ThreadPoolExecutor(3) as pool:
        loads = [
            pool.submit(target.open().replace_hours, TABLE, file, first + n * ahead * HOUR, last)
            for n, file in files.items()
        ]
    assert [load.result() for load in loads] == [2 * (8 - n * ahead) for n in range(3)]
    found = rows(target)
    assert sum(row[1] for row in found) == 16
    assert len(found) == 1 or ahead
    assert sorted(load.row_count for load in target.open().read_loads()) == [8, 8]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.2, 0.8])
def test_load_of_hours_is_atomic_when_killed(
    target: EmptyWarehouse, hourly: Hourly, share: float
) -> None:
    """Either the old or the new hours remain, as `loads` says; a rerun gives one clean copy."""
    first, last = datetime(2024, 1, 1), datetime(2025, 1, 1)
    file = hourly(first, last, 2.0)
    load(target, hourly, first, last, 1.0)
    began = time.monotonic()
    target.open().replace_hours(TABLE, file, first, last)
    whole = time.monotonic() - began
    load(target, hourly, first, last, 1.0)
    code = (
        "from datetime import datetime; from pathlib import Path;"
        "from nyc_taxi.warehouses.registry import open_warehouse;"
        f"w = open_warehouse({target.address!r}); print('ready', flush=True);"
        f"w.replace_hours({TABLE!r}, Path({str(file)!r}), {first!r}, {last!r})"
    ).replace("datetime.datetime", "datetime")
    with start("-c", code) as run:
        wait_until_ready(run)
        time.sleep(whole * share)
        run.kill()
    target.open().read_loads()  # with Spark, records a load that was killed after its commit
    oldest, newest = (f"(SELECT {f}(source_version) FROM dezoomcamp.loads)" for f in ("min", "max"))
    # In one query, because BigQuery goes on with a job whose client is gone.
    [(rain, *others)] = target.query(
        f"SELECT min(rain), max(rain), count(*), {oldest}, {newest} FROM dezoomcamp.{TABLE}"
    )
    assert others == [rain, 17568, f"rain {rain}", f"rain {rain}"]
    assert target.open().replace_hours(TABLE, file, first, last) == 17568
    assert rows(target) == [(2.0, 17568, first, last - HOUR)]
    assert sum(load.row_count for load in target.open().read_loads()) == 17568


def test_hours_do_not_wait_for_a_reader(
    request: pytest.FixtureRequest,
    hourly: Hourly,
    month_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Nor for a month, which waits for the readers of its table in PostgreSQL."""
    target = empty_postgres(request)
    first, last = NEW_YEAR, NEW_YEAR + HOUR
    load(target, hourly, first, last, 1.0)
    trips = TripMonth("green", 2021, 1)
    month = conform(trips, month_file(trips, 1000)).write(tmp_path / "green.parquet").path
    target.open().replace_month(trips, month, {})
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    with (
        closing(psycopg2.connect(os.environ["POSTGRES_URL"])) as db,
        db.cursor() as cursor,
        ThreadPoolExecutor(1) as pool,
    ):
        db.set_session(isolation_level="REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM dezoomcamp.green_rides")
        month_load = pool.submit(target.open().replace_month, trips, month, {})
        while target.query(locks) < [(2,)]:  # of its month, and of the schema
            time.sleep(0.05)
        for _ in range(2):
            cursor.execute(f"SELECT DISTINCT rain FROM dezoomcamp.{TABLE}")
            assert cursor.fetchall() == [(1.0,)]
            load(target, hourly, first, last, 2.0)
        assert not month_load.done()
        db.rollback()
        assert month_load.result() == 1000
    assert [row[0] for row in rows(target)] == [2.0]


def test_hours_do_not_depend_on_the_time_zone_of_the_database(
    request: pytest.FixtureRequest, hourly: Hourly
) -> None:
    """Elsewhere, ranges of hours shift by the zone of the session."""
    target = empty_postgres(request)
    [(name,)] = target.query("SELECT current_database()")
    execute(target, f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    first, last = datetime(2024, 11, 3, 4), datetime(2024, 11, 3, 8)  # the clock is set back
    load(target, hourly, first, last, 1.0)
    load(target, hourly, first + HOUR, last - HOUR, 2.0)
    assert rows(target) == [
        (1.0, 4, first, last - HOUR),
        (2.0, 4, first + HOUR, last - 2 * HOUR),
    ]
    [found] = target.open().read_loads()
    assert abs(found.loaded_at - datetime.now(UTC).replace(tzinfo=None)) < HOUR
