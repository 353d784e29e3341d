"""The Spark warehouse on HDFS that refuses a load, or has another name now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from local_services.hadoop import Hadoop
from nyc_taxi.errors import ConnectionLostError, StorageError
from nyc_taxi.transform.targets.spark import SparkTarget
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.base import Warehouse
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.month_loads import Clean
from tests.support.processes import start
from tests.support.warehouses import LOAD_SCRIPT

pytestmark = pytest.mark.cluster
JANUARY, FEBRUARY = TripMonth("green", 2024, 1), TripMonth("green", 2024, 2)


class OnHdfs(NamedTuple):
    """A warehouse with January, its folder, and HDFS as its administrator sees it."""

    warehouse: Warehouse
    files: Any
    folder: Any
    jvm: Any


@contextmanager
def small_quota(hdfs: OnHdfs) -> Iterator[None]:
    hdfs.files.setQuota(hdfs.folder, -1, 1000)
    try:
        yield
    finally:
        hdfs.files.setQuota(hdfs.folder, -1, -1)


@contextmanager
def safe_mode(hdfs: OnHdfs) -> Iterator[None]:
    action = hdfs.jvm.org.apache.hadoop.fs.SafeModeAction
    hdfs.files.setSafeMode(action.ENTER)
    try:
        yield
    finally:
        hdfs.files.setSafeMode(action.LEAVE)


@pytest.fixture
def on_hdfs(hadoop: Hadoop, spark: Any, clean: Clean, monkeypatch: pytest.MonkeyPatch) -> OnHdfs:
    uri = f"{hadoop.hdfs}/warehouse/{uuid4().hex}"
    monkeypatch.setenv("WAREHOUSE_URI", uri)
    warehouse = open_warehouse(f"spark:test_{uuid4().hex}")
    warehouse.replace_month(JANUARY, clean(JANUARY, 2000), {})
    folder = spark._jvm.org.apache.hadoop.fs.Path(uri)
    files = folder.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    return OnHdfs(warehouse, files, folder, spark._jvm)


@pytest.mark.parametrize(
    ("refusing", "kind", "says"),
    [
        (small_quota, StorageError, r"DiskSpace quota of .*; raise the quota, or delete files"),
        (safe_mode, ConnectionLostError, "Name node is in safe mode"),
    ],
)
def test_refused_load_is_one_line_and_changes_nothing(
    on_hdfs: OnHdfs,
    clean: Clean,
    refusing: Callable[[OnHdfs], Any],
    kind: type[StorageError],
    says: str,
) -> None:
    warehouse, file = on_hdfs.warehouse, clean(FEBRUARY, 1000)
    with refusing(on_hdfs):
        with pytest.raises(StorageError, match=says) as raised:
            warehouse.replace_month(FEBRUARY, file, {})
        assert [load.row_count for load in warehouse.read_loads()] == [2000]
    assert type(raised.value) is kind
    assert "\n" not in str(raised.value)
    assert warehouse.replace_month(FEBRUARY, file, {}) == 1000
    assert [warehouse.count(month) for month in (JANUARY, FEBRUARY)] == [2000, 1000]


def test_user_without_rights_is_told_the_command(on_hdfs: OnHdfs, clean: Clean) -> None:
    script = LOAD_SCRIPT.format(
        address="spark:nyc", color="green", year=2024, month=2, file=clean(FEBRUARY, 1000), fill={}
    )
    place = on_hdfs.folder.toString()
    run = start(
        "-c", script, HADOOP_USER_NAME="guest", SPARK_MASTER="local[1]", WAREHOUSE_URI=place
    )
    output = run.communicate()[0]
    assert "user=guest, access=WRITE" in output
    assert "; grant access (hdfs dfs -chown), or set HADOOP_USER_NAME" in output
    assert on_hdfs.warehouse.count(FEBRUARY) == 0


def test_maintenance_keeps_files_under_an_older_name_of_the_cluster(
    on_hdfs: OnHdfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a move to a nameservice: snapshots have the address of the NameNode."""
    ago = int((time.time() - timedelta(days=10).total_seconds()) * 1000)
    found = on_hdfs.files.listFiles(on_hdfs.folder, True)
    while found.hasNext():
        on_hdfs.files.setTimes(found.next().getPath(), ago, ago)
    uri = on_hdfs.folder.toString().replace("127.0.0.1", "localhost")
    monkeypatch.setenv("WAREHOUSE_URI", uri)
    target = SparkTarget.from_address(f"test_{uuid4().hex}")
    assert "2 tables: 0 small files compacted" in target.maintain()
    assert target.warehouse.count(JANUARY) == 2000
    assert len(target.query("SELECT * FROM dezoomcamp.green_rides")) == 2000
