"""Full disks: an error of one line, and the previous state is kept."""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import LocalWriteError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.registry import open_warehouse

YELLOW = TripMonth("yellow", 2021, 1)


@pytest.fixture
def clean(month_file: Callable[..., Path], tmp_path: Path) -> Path:
    """Write a conformed month that is larger than the disk."""
    path = tmp_path / "clean.parquet"
    conform(YELLOW, month_file(YELLOW, 700_000)).write(path)
    return path


def left(disk: Path) -> dict[str, bytes]:
    files = (path for path in disk.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.name: path.read_bytes() for path in files}


def test_conform_reports_a_full_disk(disk: Path, month_file: Callable[..., Path]) -> None:
    target = disk / "clean.parquet"
    target.write_bytes(b"old")
    with pytest.raises(LocalWriteError, match=f"cannot write {target}: No space left"):
        conform(YELLOW, month_file(YELLOW, 700_000)).write(target)
    assert left(disk) == {"clean.parquet": b"old"}


def test_lake_reports_a_full_disk(disk: Path, clean: Path) -> None:
    lake = open_lake(f"local:{disk}")
    (disk / YELLOW.key).parent.mkdir(parents=True)
    (disk / YELLOW.key).write_bytes(b"old")
    with pytest.raises(LocalWriteError, match="No space left"):
        lake.put(clean, YELLOW.key)
    assert left(disk) == {"yellow_tripdata_2021-01.parquet": b"old"}


def test_warehouse_reports_a_full_disk(
    disk: Path, clean: Path, month_file: Callable[..., Path]
) -> None:
    path = disk / "warehouse.duckdb"
    warehouse = open_warehouse(f"duckdb:{path}")
    small = clean.with_name("small.parquet")
    conform(YELLOW, month_file(YELLOW, 1000)).write(small)
    warehouse.replace_month(YELLOW, small, {})
    with pytest.raises(LocalWriteError, match=f"cannot write {path}: No space left"):
        warehouse.replace_month(YELLOW, clean, {})
    with duckdb.connect(str(path), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM dezoomcamp.yellow_rides").fetchall() == [(1000,)]


@pytest.mark.few(2)
@pytest.mark.parametrize("room", range(0, 2400, 200))
def test_load_survives_a_disk_that_fills_up_at_any_point(
    disk: Path, month_file: Callable[..., Path], tmp_path: Path, room: int
) -> None:
    """`room` KiB are free, so that the log, the commit or the checkpoint may fail."""
    path, small, larger = disk / "w.duckdb", tmp_path / "small", tmp_path / "larger"
    conform(YELLOW, month_file(YELLOW, 1000)).write(small)
    conform(YELLOW, month_file(YELLOW, 20_000)).write(larger)
    warehouse = open_warehouse(f"duckdb:{path}")
    warehouse.replace_month(YELLOW, small, {})
    filled = shutil.disk_usage(disk).free - room * 1024
    (disk / "filler").write_bytes(b"x" * filled)
    try:
        rows = warehouse.replace_month(YELLOW, larger, {})
    except LocalWriteError as problem:
        rows = 1000
        assert f"cannot write {path}: No space left on device; free space" in str(problem)
        assert "\n" not in str(problem)
    assert warehouse.count(YELLOW) == rows
    (disk / "filler").unlink()
    assert warehouse.count(YELLOW) == rows
    assert warehouse.replace_month(YELLOW, larger, {}) == 20_000
