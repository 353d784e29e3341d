"""What only the Spark warehouse has: snapshots, maintenance, one session."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import pytest

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.storage import spark as session_module
from nyc_taxi.storage.spark import spark_session
from nyc_taxi.transform.targets.lease import held
from nyc_taxi.transform.targets.spark import SparkTarget
from nyc_taxi.transform.targets.spark_lock import _Row
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.spark.catalog import Catalog
from nyc_taxi.warehouses.spark.warehouse import SparkWarehouse
from tests.support.month_loads import Clean
from tests.support.processes import start
from tests.support.warehouses import EmptyWarehouse, empty_spark

pytestmark = pytest.mark.cluster

YELLOW, FEBRUARY = TripMonth("yellow", 2021, 1), TripMonth("yellow", 2021, 2)
TABLE = "dezoomcamp.yellow_rides"
TOO_OLD = "InvalidInputError: Spark did not start; it needs Java 17 or 21"


@pytest.fixture
def place(request: pytest.FixtureRequest) -> EmptyWarehouse:
    return empty_spark(request)


def test_folder_with_an_accent_works_in_the_posix_locale(clean: Clean, tmp_path: Path) -> None:
    """Java reads paths as ASCII if LC_ALL is C, as in many cron jobs and containers."""
    folder = tmp_path / "données"
    folder.mkdir()
    file = clean(YELLOW, 100).rename(folder / "month.parquet")
    code = (
        "from pathlib import Path; from nyc_taxi.warehouses.registry import open_warehouse;"
        "from nyc_taxi.trips.months import TripMonth;"
        "print(open_warehouse('spark:nyc').replace_month("
        f"TripMonth('yellow', 2021, 1), Path({str(file)!r}), {{}}))"
    )
    run = start("-c", code, LC_ALL="C", WAREHOUSE_URI=str(folder / "iceberg"))
    output = run.communicate()[0]
    assert run.returncode == 0, output
    assert "100" in output


def test_a_month_is_replaced_by_one_snapshot(place: EmptyWarehouse, clean: Clean) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 2000), {})
    [(before,)] = place.query(f"SELECT snapshot_id FROM {TABLE}.refs")
    place.open().replace_month(YELLOW, clean(YELLOW, 1000), {})
    assert place.query(f"SELECT operation FROM {TABLE}.snapshots") == [("overwrite",)] * 2
    count = f"SELECT count(*) FROM {TABLE} VERSION AS OF {before}"
    assert place.query(count) == [(2000,)]


@pytest.mark.parametrize("version", [1, 3])
def test_table_of_another_format_version_is_loaded(
    place: EmptyWarehouse, clean: Clean, version: int
) -> None:
    """An older Iceberg has created it, or a newer one."""
    place.query("CREATE NAMESPACE dezoomcamp")
    place.query(
        f"CREATE TABLE {TABLE} (trip_month DATE) USING iceberg PARTITIONED BY (trip_month)"
        f" TBLPROPERTIES ('format-version' = '{version}')"
    )
    for rows in (2000, 1000):
        place.open().replace_month(YELLOW, clean(YELLOW, rows), {})
    assert place.query(f"SELECT count(*) FROM {TABLE}") == [(1000,)]
    assert [load.row_count for load in place.open().read_loads()] == [1000]


def test_a_load_that_was_killed_after_its_commit_is_recorded_later(
    place: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Iceberg commits the rows first; `loads` follows."""
    place.open().replace_month(YELLOW, clean(YELLOW, 2000), {})

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SparkWarehouse, "_record_loads", die)
        place.open().replace_month(YELLOW, clean(YELLOW, 1000), {})
    assert place.query("SELECT row_count FROM dezoomcamp.loads") == [(2000,)]
    [load] = place.open().read_loads()
    assert (load.row_count, load.source_version) == (1000, "etag 1000")
    assert place.query("SELECT row_count FROM dezoomcamp.loads") == [(1000,)]


def test_loads_follow_a_rollback(place: EmptyWarehouse, clean: Clean) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 2000), {})
    [first] = place.open().read_loads()
    [(snapshot,)] = place.query(f"SELECT snapshot_id FROM {TABLE}.refs")
    place.open().replace_month(YELLOW, clean(YELLOW, 1000), {})
    place.query(f"CALL system.rollback_to_snapshot('{TABLE}', {snapshot})")
    assert place.open().read_loads() == [first]
    assert place.open().count(YELLOW) == 2000


def test_maintenance_frees_space_and_keeps_rows_and_loads(
    place: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    for rows in (3000, 2000):
        place.open().replace_month(YELLOW, clean(YELLOW, rows), {})
    for _ in range(5):  # five small files in one partition
        place.query(f"INSERT INTO {TABLE} SELECT * FROM {TABLE} LIMIT 10")
    sums = f"SELECT count(*), round(sum(total_amount), 2) FROM {TABLE}"
    before = place.query(sums)
    loads = place.open().read_loads()
    property = "'history.expire.max-snapshot-age-ms' = '1'"
    place.query(f"ALTER TABLE {TABLE} SET TBLPROPERTIES ({property})")
    orphan = tmp_path / "ice berg" / "dezoomcamp" / "yellow_rides" / "data" / "orphan.parquet"
    orphan.write_bytes(b"0" * 1000)
    old = time() - timedelta(days=10).total_seconds()
    os.utime(orphan, (old, old))
    place.query("CREATE TABLE dezoomcamp.`my-table` (a INT) USING iceberg")
    shared = "TBLPROPERTIES ('gc.enabled' = 'false')"
    place.query(f"CREATE TABLE dezoomcamp.snapshot_of_another (a INT) USING iceberg {shared}")
    target = SparkTarget.from_address(place.address.partition(":")[2])
    done = re.search(
        r": (\d+) tables: (\d+) small files compacted, (\d+) snapshots expired, (\d+) orphan files "
        r"removed, ([\d,]+) bytes freed",
        target.maintain(),
    )
    assert done
    tables, compacted, expired, orphans, freed = (int(x.replace(",", "")) for x in done.groups())
    assert (tables, compacted, orphans) == (3, 6, 1)
    assert expired >= 7
    assert freed > 10_000
    assert not orphan.exists()
    assert target.bytes(TABLE, "silver.none") > 0
    assert place.query(sums) == before
    assert place.open().read_loads() == loads


def test_builds_elsewhere_wait_for_a_row_that_expires(place: EmptyWarehouse) -> None:
    """On a cluster a lock file of one machine would not do."""
    first, second = (_Row(Catalog(place.address.partition(":")[2])) for _ in range(2))
    with held(first):
        assert not second.acquire()
        first.renew()
        place.query(
            f"UPDATE dezoomcamp.build_lock SET until = TIMESTAMP_NTZ '{datetime(2020, 1, 1)}'"
        )
        assert second.acquire()
    assert place.query("SELECT owner FROM dezoomcamp.build_lock") == [(second.owner,)]
    second.release()
    assert first.acquire()


class TestSession:
    """One session, on the master of the settings."""

    @pytest.fixture(autouse=True)
    def not_started(self, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(session_module, "_session", None)

    def test_cluster_without_spark_submit_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPARK_MASTER", "yarn")
        monkeypatch.setattr("sys.argv", ["flows/load_new_months.py"])
        command = r"run bash scripts/spark_submit\.sh flows/load_new_months\.py -- OPTIONS"
        with pytest.raises(InvalidInputError, match=command), spark_session():
            pass

    def test_session_on_another_master_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPARK_MASTER", "local[1]")
        says = r"runs on local\[2\], not on SPARK_MASTER=local\[1\]"
        with pytest.raises(InvalidInputError, match=says), spark_session():
            pass

    def test_missing_java_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JAVA_HOME", "/nowhere")
        says = r"JAVA_HOME=/nowhere .* needs Java 17 or 21"
        with pytest.raises(InvalidInputError, match=says), spark_session():
            pass

    def test_missing_iceberg_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SPARK_HOME", str(tmp_path))
        (tmp_path / "jars").mkdir()
        (tmp_path / "jars" / "spark-core_2.13-4.1.4.jar").touch()
        says = "has no Iceberg runtime; run make spark"
        with pytest.raises(InvalidInputError, match=says), spark_session():
            pass

    def test_another_spark_in_spark_home_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SPARK_HOME", str(tmp_path))
        (tmp_path / "jars").mkdir()
        (tmp_path / "jars" / "spark-core_2.12-3.5.1.jar").touch()
        says = r"SPARK_HOME=.* is not Spark 4\.1, .*; unset SPARK_HOME"
        with pytest.raises(InvalidInputError, match=says), spark_session():
            pass

    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("SPARK_REMOTE", "sc://localhost", r"selects Spark Connect, .*; unset SPARK_REMOTE"),
            ("PYSPARK_SUBMIT_ARGS", "--master local", r"does not end with pyspark-shell"),
        ],
    )
    def test_variable_of_another_way_to_start_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(InvalidInputError, match=says), spark_session():
            pass

    def test_java_that_is_too_old_is_one_line(self, tmp_path: Path) -> None:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text("#!/bin/sh\necho java.lang.UnsupportedClassVersionError >&2\nexit 1\n")
        java.chmod(0o755)
        code = "from nyc_taxi.storage.spark import _start; _start()"
        run = start("-c", code, JAVA_HOME=str(tmp_path), SPARK_MASTER="")
        assert TOO_OLD in run.communicate()[0]
        submitted = "--master local pyspark-shell"
        run = start("-c", code, JAVA_HOME=str(tmp_path), PYSPARK_SUBMIT_ARGS=submitted)
        assert TOO_OLD in run.communicate()[0]

    def test_machine_whose_name_has_no_address_is_told_the_setting(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SPARK_LOCAL_IP")
        monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--master yarn pyspark-shell")
        monkeypatch.setattr("socket.gethostname", lambda: "node.invalid")
        says = r"node\.invalid, has no address; .* set SPARK_LOCAL_IP"
        with pytest.raises(InvalidInputError, match=says), spark_session():
            pass
