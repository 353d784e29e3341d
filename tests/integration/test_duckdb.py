"""Behavior specific to DuckDB: files, locks and memory."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path

import duckdb
import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.errors import LocalWriteError, LockTimeoutError, StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.duckdb.file import DuckDBFile
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.month_loads import FILL, Clean
from tests.support.processes import start
from tests.support.warehouses import EmptyWarehouse, empty_duckdb

YELLOW = TripMonth("yellow", 2021, 1)


class TestDuckDB:
    """Behavior specific to DuckDB files."""

    @pytest.fixture
    def target(self, request: pytest.FixtureRequest) -> EmptyWarehouse:
        return empty_duckdb(request)

    def test_load_creates_columns_with_the_declared_types(
        self, target: EmptyWarehouse, clean: Clean
    ) -> None:
        target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        kinds = {row[0]: row[1] for row in target.query("DESCRIBE dezoomcamp.yellow_rides")}
        assert kinds["trip_month"] == "DATE"
        assert kinds["passenger_count"] == kinds["PULocationID"] == "BIGINT"
        assert kinds["tpep_pickup_datetime"] == "TIMESTAMP"
        assert kinds["airport_fee"] == "DOUBLE"

    def test_load_times_out_on_a_file_locked_by_another_program(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = target.address.removeprefix("duckdb:")
        hold = f"import duckdb; db = duckdb.connect({path!r}); "
        hold += "print('held', flush=True); import time; time.sleep(60)"
        monkeypatch.setenv("NYC_TAXI_WAIT", "0.5")
        with start("-c", hold) as holder:
            assert holder.stdout
            holder.stdout.readline()
            with pytest.raises(LockTimeoutError, match=rf"locked by .* \(PID {holder.pid}\) for"):
                target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
            holder.kill()
        assert target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL) == 1000

    def test_load_rejects_a_table_without_trip_month(
        self, target: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        with duckdb.connect(str(tmp_path / "contract.duckdb")) as db:
            db.execute("CREATE SCHEMA dezoomcamp; CREATE TABLE dezoomcamp.yellow_rides (a INT)")
        with pytest.raises(StorageError, match="no column trip_month"):
            target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)

    def test_load_rejects_a_file_that_is_not_duckdb(
        self, target: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        (tmp_path / "contract.duckdb").write_text("some notes, longer than a header" * 500)
        with pytest.raises(StorageError, match="NYC_TAXI_WAREHOUSE"):
            target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)

    @pytest.mark.parametrize("state", ["a folder", "cut", "newer"])
    def test_check_reports_an_unusable_file(
        self, state: str, target: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        path = tmp_path / "contract.duckdb"
        if state == "a folder":
            path.mkdir()
        else:
            target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
            content = bytearray(path.read_bytes())
            content[12:20] = (9999).to_bytes(8, "little")
            path.write_bytes(content if state == "newer" else content[:5000])
        with pytest.raises(StorageError, match="set NYC_TAXI_WAREHOUSE to") as problem:
            target.open().check()
        assert "\n" not in str(problem.value)

    def test_check_fails_on_a_read_only_disk(self, disk: Path, clean: Clean) -> None:
        path = disk / "contract.duckdb"
        warehouse = open_warehouse(f"duckdb:{path}")
        warehouse.replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises((StorageError, LocalWriteError), match=str(path)) as problem:
            warehouse.check()
        assert "\n" not in str(problem.value)

    def test_threads_share_one_lock_per_file(self, tmp_path: Path) -> None:
        """Eight threads lock one file through two paths, one of them a symbolic link."""
        path, link = tmp_path / "contract.duckdb", tmp_path / "link.duckdb"
        path.touch()
        link.symlink_to(path)
        path.unlink()
        inside: list[int] = []

        def work(n: int) -> int:
            with DuckDBFile(link if n % 2 else path).thread_lock(time.monotonic() + 30):
                inside.append(n)
                seen = len(inside)
                inside.remove(n)
            return seen

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(8) as pool:
                assert set(pool.map(work, range(400))) == {1}
        finally:
            sys.setswitchinterval(interval)

    def test_load_stops_or_times_out_while_another_thread_has_the_file(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warehouse = target.open()
        assert isinstance(warehouse, DuckDBWarehouse)
        load = partial(target.open().replace_month, YELLOW, clean(YELLOW, 1000), FILL)
        with warehouse.file.thread_lock(time.monotonic() + 30), ThreadPoolExecutor(1) as pool:
            with stoppable() as stop:
                waits = pool.submit(copy_context().run, load)
                time.sleep(0.3)
                stop.set()
                assert isinstance(waits.exception(5), Stopped)
            monkeypatch.setenv("NYC_TAXI_WAIT", "0.3")
            with pytest.raises(
                LockTimeoutError, match="locked by another program for 0 s; close that program"
            ):
                pool.submit(load).result()

    @pytest.mark.slow
    def test_load_of_a_large_month_works_with_little_memory(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        large = clean(YELLOW, 1_500_000)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "150MB")
        began = time.monotonic()
        assert target.open().replace_month(YELLOW, large, FILL) == 1_500_000
        assert time.monotonic() - began < 120

    def test_load_with_too_little_memory_reports_the_setting(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        large = clean(YELLOW, 300_000)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "4MB")
        with pytest.raises(StorageError, match=r"NYC_TAXI_MEMORY=4MB; .* raise it") as problem:
            target.open().replace_month(YELLOW, large, FILL)
        assert "\n" not in str(problem.value)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "300MB")
        assert target.open().count(YELLOW) == 1000
