"""The HDFS lake where the cluster itself fails, refuses or keeps leftovers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from local_services.hadoop import Hadoop
from nyc_taxi.errors import ConnectionLostError, StorageError
from nyc_taxi.lakes.hdfs import HdfsLake
from nyc_taxi.storage.webhdfs import WebHdfs
from nyc_taxi.trips.months import TripMonth
from tests.support.processes import until

pytestmark = pytest.mark.cluster
KEY = TripMonth("yellow", 2021, 1).key


@pytest.fixture
def lake(hadoop: Hadoop) -> HdfsLake:
    return HdfsLake.from_address(f"{hadoop.hdfs.removeprefix('hdfs:')}/lake/{uuid4().hex}")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(content)
        return path

    return write


def names(lake: HdfsLake) -> list[str]:
    return [each["pathSuffix"] for each in lake.hdfs.list(f"{lake.folder}/data/yellow")]


def readable(lake: HdfsLake) -> bool:
    """Return whether the DataNode has reported the file's block to a NameNode that has started."""
    try:
        lake.get(KEY)
    except ConnectionLostError:
        return False
    return True


def test_namenode_killed_during_a_put_keeps_the_old_file(
    hadoop: Hadoop, lake: HdfsLake, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    lake.put(write(b"old"), KEY)
    big = tmp_path / "big"
    big.write_bytes(b"0123456789abcdef" * 20_000_000)
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(lake.put, big, KEY)
        assert until(lambda: len(names(lake)) == 2)
        process = hadoop.namenode.process()
        assert process
        process.kill()
        process.wait(10)
        try:
            assert isinstance(put.exception(), StorageError), put
        finally:
            hadoop.namenode.start()
    assert until(lambda: readable(lake))
    assert lake.get(KEY).read_bytes() == b"old"
    lake.put(write(b"new"), KEY)
    assert lake.get(KEY).read_bytes() == b"new"


def test_put_removes_what_a_killed_run_left_a_day_ago(
    lake: HdfsLake, write: Callable[[bytes], Path]
) -> None:
    lake.put(write(b"month"), KEY)
    stem = KEY.rpartition("/")[2]
    old, new = (f".{stem}.{uuid4().hex}.part" for _ in range(2))
    for name in (old, new):
        lake.hdfs.write(write(b"part"), f"{lake.folder}/data/yellow/{name}")
    days_ago = str(int((time.time() - 2 * 86400) * 1000))
    path = f"{lake.folder}/data/yellow/{old}"
    lake.hdfs._ask("PUT", "SETTIMES", path, modificationtime=days_ago)
    lake.put(write(b"month"), KEY)
    assert sorted(names(lake)) == sorted([stem, new])


def test_file_replaced_while_it_is_read_is_an_error(
    lake: HdfsLake, write: Callable[[bytes], Path]
) -> None:
    """A reader gets bytes of one version, or an error that a task retries."""
    lake.put(write(b"a" * 5_000_000), KEY)
    with lake.open(KEY) as parts:
        assert parts.read(1) == b"a"
        lake.put(write(b"b" * 5_000_000), KEY)
        with pytest.raises(ConnectionLostError, match="was replaced while it was read"):
            parts.read()


def test_new_folders_are_writable_for_their_owner_alone(
    lake: HdfsLake, write: Callable[[bytes], Path]
) -> None:
    """WebHDFS makes the parents of a new file with the permission 777."""
    lake.put(write(b"month"), KEY)
    folders = (lake.folder, f"{lake.folder}/data", f"{lake.folder}/data/yellow")
    assert [lake.hdfs.status(folder)["permission"] for folder in folders] == ["755"] * 3


def test_user_without_rights_is_told_the_command(
    hadoop: Hadoop, write: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = WebHdfs(hadoop.hdfs.removeprefix("hdfs://"))
    folder = f"/lake/{uuid4().hex}"
    owner.write(write(b"x"), f"{folder}/x")
    monkeypatch.setenv("HADOOP_USER_NAME", "guest")
    guest = HdfsLake.from_address(f"//{owner.place}{folder}")
    for call in (guest.check, lambda: guest.put(write(b"y"), KEY)):
        with pytest.raises(StorageError, match=r"denies access to the user guest.*hdfs dfs -chown"):
            call()


def test_names_with_special_characters_are_kept(
    lake: HdfsLake, write: Callable[[bytes], Path]
) -> None:
    contents = {
        key: os.urandom(10) for key in ("data/a b+c%20d&e=f.parquet", "data/städte#1?.parquet")
    }
    for key, content in contents.items():
        lake.put(write(content), key)
    found = [each["pathSuffix"] for each in lake.hdfs.list(f"{lake.folder}/data")]
    assert sorted(f"data/{name}" for name in found) == sorted(contents)
    for key, content in contents.items():
        assert lake.get(key).read_bytes() == content
        with lake.open(key) as opened:
            assert opened.read() == content
