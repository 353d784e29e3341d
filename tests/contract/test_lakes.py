"""Contract of every lake: reads return what was written, and writes are atomic."""

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from uuid import uuid4

import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.errors import InvalidInputError, LocalWriteError, StorageError
from nyc_taxi.lakes.base import Lake
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.trips.months import TripMonth
from tests.support.processes import start

KEY = TripMonth("yellow", 2021, 1).key


def local_lake(request: pytest.FixtureRequest) -> str:
    return f"local:{request.getfixturevalue('tmp_path') / 'contract'}"


def gcs_lake(request: pytest.FixtureRequest) -> str:
    return f"gcs:{request.getfixturevalue('gcs_block')()}"


def s3_lake(request: pytest.FixtureRequest) -> str:
    return f"s3:{request.getfixturevalue('s3_block')()}"


def minio_lake(request: pytest.FixtureRequest) -> str:
    return f"s3:{request.getfixturevalue('s3_block')('minio')}"


def hdfs_lake(request: pytest.FixtureRequest) -> str:
    return f"{request.getfixturevalue('hadoop').hdfs}/lake/{uuid4().hex}"


LAKES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "local": local_lake,
    "gcs": gcs_lake,
    "s3": s3_lake,
    "s3-minio": minio_lake,
    "hdfs": hdfs_lake,
}


@pytest.fixture(params=LAKES)
def address(request: pytest.FixtureRequest) -> str:
    return LAKES[request.param](request)


@pytest.fixture
def lake(address: str) -> Lake:
    return open_lake(address)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "month.parquet"
    path.write_bytes(bytes(range(256)) * 4000)
    return path


def test_get_returns_what_was_put(lake: Lake, file: Path) -> None:
    uri = lake.put(file, KEY)
    assert KEY in uri
    assert lake.get(KEY).read_bytes() == file.read_bytes()


def test_put_replaces_the_previous_file(lake: Lake, file: Path, tmp_path: Path) -> None:
    lake.put(file, KEY)
    lake.put(file, KEY)
    assert lake.get(KEY).read_bytes() == file.read_bytes()
    other = tmp_path / "other"
    other.write_bytes(b"new")
    lake.put(other, KEY)
    assert lake.get(KEY).read_bytes() == b"new"


def test_get_of_a_missing_key_fails(lake: Lake) -> None:
    with pytest.raises(StorageError, match=rf"no {KEY}; ingest"):
        lake.get(KEY)


def test_open_reads_parts_in_place(lake: Lake, file: Path) -> None:
    uri = lake.put(file, KEY)
    assert lake.uri(KEY) == uri
    with lake.open(KEY) as parts:
        parts.seek(-4, 2)
        assert parts.read() == bytes((252, 253, 254, 255))
        parts.seek(1000)
        assert parts.read(3) == bytes((232, 233, 234))
    for read in (lake.uri, lake.open):
        with pytest.raises(StorageError, match=r"no data/other; ingest"):
            read("data/other")


def test_check_leaves_no_files(lake: Lake, file: Path) -> None:
    assert lake.check().endswith("is writable")
    with pytest.raises(StorageError):
        lake.get("check")


def test_check_keeps_a_file_named_check(lake: Lake, file: Path) -> None:
    """Bug: the probe overwrote a user's file named `check`."""
    lake.put(file, "check")
    lake.check()
    assert lake.get("check").read_bytes() == file.read_bytes()


def test_put_when_stopped_keeps_the_old_file(address: str, lake: Lake, tmp_path: Path) -> None:
    big, old = tmp_path / "big", tmp_path / "old"
    big.write_bytes(b"0123456789abcdef" * 8_000_000)
    old.write_bytes(b"old")
    lake.put(old, KEY)
    with stoppable() as stop, ThreadPoolExecutor(1) as pool:
        put = pool.submit(copy_context().run, lake.put, big, KEY)
        time.sleep(0.1)
        stop.set()
        began = time.monotonic()
        stopped = isinstance(put.exception(), Stopped)
        assert time.monotonic() - began < 5
    assert lake.get(KEY).stat().st_size == (3 if stopped else big.stat().st_size)


def test_concurrent_puts_all_succeed(lake: Lake, file: Path) -> None:
    keys = [KEY, TripMonth("yellow", 2021, 2).key, KEY]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda key: lake.put(file, key), keys))
    assert {lake.get(key).read_bytes() for key in keys} == {file.read_bytes()}


@pytest.mark.slow_on("gcs", "s3")
@pytest.mark.few(1)
@pytest.mark.parametrize("seconds", [0.1, 0.01, 0.03, 0.3])
def test_put_is_atomic_when_killed(
    address: str, lake: Lake, tmp_path: Path, seconds: float
) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"0123456789abcdef" * 6_000_000)
    old = tmp_path / "old"
    old.write_bytes(b"old")
    lake.put(old, KEY)
    code = (
        "from pathlib import Path; from nyc_taxi.lakes.registry import open_lake;"
        f"lake = open_lake({address!r}); print('ready', flush=True);"
        f"[lake.put(Path({str(big)!r}), {KEY!r}) for _ in range(1000)]"
    )
    with start("-c", code) as run:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
        time.sleep(seconds)
        run.kill()
    assert lake.get(KEY).stat().st_size in (3, big.stat().st_size)
    lake.put(big, KEY)
    assert lake.get(KEY).read_bytes() == big.read_bytes()


@pytest.mark.parametrize("address", ["data/lake", "local:", "ftp:folder", "", "local"])
def test_open_lake_rejects_an_invalid_address(address: str) -> None:
    with pytest.raises(InvalidInputError, match=r"NYC_TAXI_LAKE.*local:\.\.\."):
        open_lake(address)


@pytest.mark.parametrize("kind", ["gcs", "s3", "local", "gs"])
def test_open_lake_rejects_a_url_without_its_password(kind: str) -> None:
    """The message said that a block of this name does not exist, and showed the password."""
    with pytest.raises(InvalidInputError, match=f"NYC_TAXI_LAKE='{kind}://h/d' is ") as problem:
        open_lake(f"{kind}://u:s3cret@h/d")
    assert "s3cret" not in str(problem.value)


class TestLocal:
    def test_put_leaves_only_the_file(self, tmp_path: Path, file: Path) -> None:
        lake = open_lake(f"local:{tmp_path / 'contract'}")
        lake.put(file, KEY)
        left = [p.name for p in (tmp_path / "contract").rglob("*") if p.is_file()]
        assert [name for name in left if not name.endswith(".lock")] == [KEY.rpartition("/")[2]]

    def test_check_does_not_create_the_folder(self, tmp_path: Path) -> None:
        open_lake(f"local:{tmp_path / 'contract'}").check()
        assert not (tmp_path / "contract").exists()

    def test_check_fails_on_a_read_only_folder(self, disk: Path, file: Path) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(LocalWriteError, match=f"cannot write {disk}.*Read-only"):
            open_lake(f"local:{disk}/lake").check()
        with pytest.raises(LocalWriteError, match=r"Not a directory|File exists"):
            open_lake(f"local:{file}").check()

    def test_put_fails_if_the_folder_cannot_be_created(self, tmp_path: Path, file: Path) -> None:
        with pytest.raises(LocalWriteError, match=r"month\.parquet"):
            open_lake(f"local:{file}/lake").put(file, KEY)
