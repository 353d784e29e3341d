"""Locks in PostgreSQL: readers during a load, conflicts, and loads that are stopped."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import LockTimeoutError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.connection import find_database
from tests.support.month_loads import Clean
from tests.support.postgres import load, query, warehouse

YELLOW = TripMonth("yellow", 2021, 1)


class TestReaders:
    def test_reader_never_sees_a_partial_month(self, postgres: str, clean: Clean) -> None:
        old, new = clean(YELLOW, 50_000), clean(YELLOW, 200_000)
        warehouse().replace_month(YELLOW, old, {})
        seen: dict[int, float] = {}
        done = threading.Event()

        def poll(table: str) -> None:
            with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
                db.autocommit = True
                while not done.is_set():
                    began = time.monotonic()
                    cursor.execute(f"SELECT count(*) FROM dezoomcamp.{table}")
                    for (count,) in cursor.fetchall():
                        seen[count] = max(seen.get(count, 0), time.monotonic() - began)

        readers = [threading.Thread(target=poll, args=[t]) for t in ("yellow_rides", "rides")]
        for reader in readers:
            reader.start()
        for file in (new, old, new, old):
            warehouse().replace_month(YELLOW, file, {})
        done.set()
        for reader in readers:
            reader.join()
        assert set(seen) == {50_000, 200_000}
        assert max(seen.values()) < 2

    def test_older_snapshot_sees_the_whole_new_month(self, postgres: str, clean: Clean) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            db.set_session(isolation_level="REPEATABLE READ")
            cursor.execute("SELECT 1")  # the snapshot, before any table is read
            warehouse().replace_month(YELLOW, clean(YELLOW, 3000), {})
            cursor.execute("SELECT count(*) FROM dezoomcamp.yellow_rides")
            assert cursor.fetchall() == [(3000,)]

    def test_load_times_out_behind_an_open_reader(
        self, postgres: str, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        monkeypatch.setenv("NYC_TAXI_WAIT", "1")
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM dezoomcamp.yellow_rides")
            with pytest.raises(LockTimeoutError, match="locked by other sessions for 1 s; close"):
                warehouse().replace_month(YELLOW, clean(YELLOW, 3000), {})
            assert query(postgres, "SELECT count(*) FROM dezoomcamp.rides") == [(2000,)]
        assert warehouse().replace_month(YELLOW, clean(YELLOW, 3000), {}) == 3000


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_deadlock_and_serialization_failure_are_retryable_conflicts(
    postgres: str, code: str
) -> None:
    """They were reported as a table that is locked for NYC_TAXI_WAIT seconds."""
    failure = f"DO $$ BEGIN RAISE EXCEPTION 'victim' USING ERRCODE = '{code}'; END $$"
    conflict = r"conflicts with another session \(victim\); nothing was changed; rerun$"
    with (
        pytest.raises(LockTimeoutError, match=conflict) as raised,
        find_database().session() as db,
    ):
        db.execute(failure)
    assert raised.value.retryable


class TestStopped:
    @pytest.mark.parametrize("waits_for", ["another load", "a reader", "the copy"])
    @pytest.mark.few(1)
    def test_load_when_stopped_leaves_no_locks_or_tables(
        self,
        waits_for: str,
        postgres: str,
        small_month: Path,
        month_file: Callable[..., Path],
        tmp_path: Path,
    ) -> None:
        load(small_month)
        file = small_month
        if waits_for == "the copy":
            file = tmp_path / "large.parquet"
            conform(YELLOW, month_file(YELLOW, 600_000)).write(file)
        locks = {
            "another load": "SELECT pg_advisory_lock(hashtext('nyc_taxi'), hashtext('dezoomcamp'))",
            "a reader": "BEGIN; SELECT count(*) FROM dezoomcamp.yellow_rides",
            "the copy": "SELECT 1",
        }
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            cursor.execute(locks[waits_for])
            with stoppable() as stop, pytest.raises(Stopped):
                timer = threading.Timer(0.3 if waits_for == "the copy" else 1, stop.set)
                timer.start()
                began = time.monotonic()
                load(file)
            assert time.monotonic() - began < 4
            db.rollback()
        this_database = "datname = current_database()"
        others = f"pg_stat_activity WHERE application_name = 'nyc_taxi' AND {this_database}"
        while query(postgres, f"SELECT count(*) FROM {others}") != [(0,)]:
            assert time.monotonic() - began < 10
        held = "pg_locks JOIN pg_database d ON database = d.oid WHERE locktype = 'advisory'"
        assert query(postgres, f"SELECT count(*) FROM {held} AND {this_database}") == [(0,)]
        staging = "SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_new'"
        assert query(postgres, staging) == [(0,)]
        assert warehouse().count(YELLOW) == 2000
        assert load(small_month) == 2000
