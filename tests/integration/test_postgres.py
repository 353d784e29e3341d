"""Tables in PostgreSQL; the shared contract is in tests/contract/test_warehouses.py."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.swap import brin_index_sql
from nyc_taxi.warehouses.postgres.tables import Table
from tests.support.month_loads import Clean
from tests.support.postgres import load, query, warehouse

YELLOW = TripMonth("yellow", 2021, 1)
GREEN = TripMonth("green", 2021, 1)


class TestTable:
    def test_load_creates_columns_and_index(self, postgres: str, clean: Clean) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        kinds = dict(
            query(
                postgres,
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_name = 'yellow_rides'",
            )
        )
        assert kinds["trip_month"] == "date"
        assert kinds["passenger_count"] == kinds["pulocationid"] == "bigint"
        assert kinds["tpep_pickup_datetime"] == "timestamp without time zone"
        assert kinds["airport_fee"] == "double precision"
        index = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = {}"
        for table in ("yellow_rides", "yellow_rides_2021_01"):
            oid = f"'dezoomcamp.{table}'::regclass"
            assert query(postgres, index.format(oid)) == [(f"dezoomcamp.{table}_pickup", True)]
        rows = "SELECT reltuples FROM pg_class WHERE relname = 'yellow_rides_2021_01'"
        assert query(postgres, rows) == [(2000,)]

    def test_load_keeps_extreme_values(self, postgres: str, clean: Clean, tmp_path: Path) -> None:
        """Minimum and maximum values, long texts, and nulls in any position."""
        table = pq.read_table(clean(YELLOW, 2000))
        texts = ["", None, "a", "Zürich, “N/A”\t\n\\", "x" * 100_000, *["y"] * 1995]
        whole = [2**63 - 1, -(2**63), None, 0, *range(1996)]
        fractional = [float("inf"), float("-inf"), float("nan"), None, 5e-324, *[0.1] * 1995]
        moments = [None, -1, 0, 946684800000000, -(10**15), *range(1995)]
        for name, values in (
            ("a_text", pa.array(texts)),
            ("A_Number", pa.array(whole)),
            ("a_double", pa.array(fractional)),
            ("a_moment", pa.array(moments, pa.timestamp("us"))),
            ("a_small", pa.array([None, *range(1999)], pa.int16())),
            ("a_price", pa.array([None, *[1.25] * 1999], pa.float32())),
            ("a_truth", pa.array([None, *[True, False, True] * 666, True])),
            ("a_void", pa.nulls(2000, pa.float64())),
            ("no_text", pa.nulls(2000, pa.string())),
        ):
            table = table.append_column(name, values)
        file = tmp_path / "values.parquet"
        pq.write_table(table, file)
        assert warehouse().replace_month(YELLOW, file, {}) == 2000
        columns = (
            "a_text, a_number, a_double, a_moment, a_small, a_price, a_truth, a_void, no_text, "
            "store_and_fwd_flag, tpep_pickup_datetime, total_amount, passenger_count"
        )
        stored = query(postgres, f"SELECT {columns} FROM dezoomcamp.yellow_rides")
        with duckdb.connect() as db:
            assert repr(stored) == repr(db.execute(f"SELECT {columns} FROM '{file}'").fetchall())

    def test_load_widens_undeclared_columns_only(
        self, postgres: str, clean: Clean, tmp_path: Path
    ) -> None:
        table = pq.read_table(clean(YELLOW, 2000))
        counts, doubles = tmp_path / "counts.parquet", tmp_path / "doubles.parquet"
        pq.write_table(table.append_column("extras", pa.array([1] * 2000)), counts)
        pq.write_table(table.append_column("extras", pa.array([0.5] * 2000)), doubles)
        warehouse().replace_month(YELLOW, doubles, {})
        warehouse().replace_month(TripMonth("yellow", 2021, 2), counts, {})
        assert query(postgres, "SELECT sum(extras) FROM dezoomcamp.yellow_rides") == [(3000.0,)]
        warehouse("other").replace_month(YELLOW, counts, {})
        with pytest.raises(StorageError, match="ALTER COLUMN extras TYPE double precision"):
            warehouse("other").replace_month(YELLOW, doubles, {})

    def test_load_rejects_a_table_with_another_partitioning(
        self, postgres: str, clean: Clean
    ) -> None:
        query(postgres, 'CREATE TABLE yellow_taxi_trips ("VendorID" int)')
        with pytest.raises(StorageError, match="not partitioned by trip_month"):
            warehouse("yellow_taxi_trips").replace_month(YELLOW, clean(YELLOW, 2000), {})
        query(postgres, "CREATE TABLE trips_2021_01 (a int)")
        with pytest.raises(StorageError, match='"trips_2021_01" already exists'):
            warehouse("trips").replace_month(YELLOW, clean(YELLOW, 2000), {})
        assert warehouse("trips").count(YELLOW) == 0

    def test_load_rejects_another_color(self, postgres: str, clean: Clean) -> None:
        warehouse("trips").replace_month(YELLOW, clean(YELLOW, 2000), {})
        with pytest.raises(StorageError, match=r"public\.trips does not contain green trips"):
            warehouse("trips").replace_month(GREEN, clean(GREEN, 2000), {})
        fhv, fhvhv = TripMonth("fhv", 2021, 1), TripMonth("fhvhv", 2021, 1)
        warehouse("hired").replace_month(fhvhv, clean(fhvhv, 2000), {})
        with pytest.raises(StorageError, match="does not contain fhv trips"):
            warehouse("hired").replace_month(fhv, clean(fhv, 2000), {})

    def test_concurrent_first_loads_create_the_table_once(
        self, postgres: str, clean: Clean
    ) -> None:
        """Both loads find no table and wait for the lock before one of them creates it."""
        months = [TripMonth("yellow", 2021, month) for month in (1, 2)]
        files = [clean(trips, 400_000) for trips in months]
        lock = "hashtext('nyc_taxi'), hashtext('public')"
        copying = "SELECT count(*) FROM pg_stat_progress_copy"
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        with ThreadPoolExecutor(2) as pool, closing(psycopg2.connect(postgres)) as db:
            db.autocommit = True
            loads = [
                pool.submit(warehouse("together").replace_month, trips, file, {})
                for trips, file in zip(months, files, strict=True)
            ]
            with db.cursor() as gate:
                for count, call in ((copying, "pg_advisory_lock"), (waiting, "pg_advisory_unlock")):
                    while query(postgres, count) != [(2,)]:
                        assert not any(load.done() for load in loads)
                    gate.execute(f"SELECT {call}({lock})")
        assert [load.result() for load in loads] == [400_000, 400_000]

    @pytest.mark.parametrize(
        "name", ["Trips", "a b", "a.b.c", "x" * 41, "", "t; DROP TABLE t", "a.loads"]
    )
    def test_named_rejects_an_invalid_name(self, name: str) -> None:
        with pytest.raises(InvalidInputError, match="lower-case letters"):
            Table.named(name)


@pytest.mark.parametrize("month", [TripMonth("green", 2021, 1), TripMonth("green", 2025, 1)])
def test_load_stores_published_files(
    postgres: str, real: Path, tmp_path: Path, month: TripMonth
) -> None:
    raw = real / "trip-data" / f"{month.stem}.parquet"
    file = tmp_path / "clean.parquet"
    rows = conform(month, raw).write(file).rows
    assert warehouse().replace_month(month, file, {}) == rows
    sums = (
        "SELECT count(*), sum(total_amount), sum(trip_distance), sum(PULocationID), "
        "count(passenger_count), min(lpep_pickup_datetime), max(lpep_dropoff_datetime) FROM {}"
    )
    [stored] = query(postgres, sums.format("dezoomcamp.green_rides"))
    with duckdb.connect() as db:
        [expected] = db.execute(sums.format(f"'{raw}'")).fetchall()
    assert [round(v, 2) if isinstance(v, float) else v for v in stored] == [
        round(v, 2) if isinstance(v, float) else v for v in expected
    ]


@pytest.mark.parametrize(
    ("version", "operators"), [(12, "timestamp_minmax_ops"), (18, "timestamp_minmax_multi_ops")]
)
def test_index_matches_the_server_version(version: int, operators: str) -> None:
    assert brin_index_sql("pickup", version) == f"USING brin (pickup {operators})"


def test_load_keeps_the_index_of_an_older_server(postgres: str, small_month: Path) -> None:
    """As after pg_upgrade from version 13: a second index per month would lock the table."""
    load(small_month)
    oldest = brin_index_sql("tpep_pickup_datetime", 13)
    query(postgres, "DROP INDEX dezoomcamp.yellow_rides_pickup; CREATE INDEX yellow_rides_pickup "
        f"ON dezoomcamp.yellow_rides {oldest}")  # fmt: skip
    load(small_month)
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'yellow_rides_2021_01'"
    assert query(postgres, indexes) == [(1,)]
