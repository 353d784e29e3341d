"""Downloads that share a folder, are killed, or find the disk full."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nyc_taxi.errors import (
    LocalWriteError,
    LockTimeoutError,
)
from nyc_taxi.settings import ROOT
from nyc_taxi.sources.tlc import fetch_month
from nyc_taxi.storage.atomic_files import file_lock
from synthetic_tlc import Site
from tests.support.downloads import (
    BROKEN_OFF,
    JANUARY,
    WHOLE,
    asked,
    failing,
    kept,
    month,
    names,
    serve,
    statuses,
)

FETCH = """
import resource, sys
from pathlib import Path
from nyc_taxi.errors import NycTaxiError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.sources.tlc import fetch_month
source, folder, most = sys.argv[1:]
if int(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
try:
    print(fetch_month(TripMonth("yellow", 2021, 1), source, Path(folder)))
except NycTaxiError as problem:
    print(type(problem).__name__, problem)
"""


def start(site: Site, folder: Path, largest_file: int = 0) -> subprocess.Popen[str]:
    """`fetch_month` in a process of its own; prints the path or the error."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FETCH, site.url, str(folder), str(largest_file)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "flows")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    return out.strip()


def wait_for_a_quarter(folder: Path) -> None:
    part, until = folder / BROKEN_OFF[0], time.monotonic() + 30
    while not part.exists() or part.stat().st_size < len(month()) // 4:
        assert time.monotonic() < until, "the download does not go on"
        time.sleep(0.01)


def test_two_at_once(site: Site, folder: Path) -> None:
    serve(site, month())
    site.slow(len(month()))
    both = [start(site, folder) for _ in range(2)]
    assert [printed(process) for process in both] == [str(folder / WHOLE[0])] * 2
    assert statuses(site) == [200, 304]
    assert kept(folder)[WHOLE[0]] == month()
    assert names(folder) == WHOLE


def test_killed_half_way(site: Site, folder: Path) -> None:
    serve(site, month())
    site.slow(len(month()) / 2)
    with start(site, folder) as process:
        wait_for_a_quarter(folder)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert names(folder) == BROKEN_OFF
    site.heal()
    had = (folder / BROKEN_OFF[0]).stat().st_size
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    again = site.requests[-1]
    assert (again.status, asked(again)["Range"]) == (206, f"bytes={had}-")
    assert again.bytes_sent == len(month()) - had
    assert names(folder) == WHOLE


def test_killed_while_another_waits(site: Site, folder: Path) -> None:
    serve(site, month())
    site.stall(after=len(month()) // 2)
    with start(site, folder) as first:
        wait_for_a_quarter(folder)
        second = start(site, folder)
        time.sleep(0.5)
        first.kill()
    assert printed(second) == str(folder / WHOLE[0])
    assert statuses(site) == [200, 206]
    assert kept(folder)[WHOLE[0]] == month()
    assert names(folder) == WHOLE


def test_waits_for_another_only_so_long(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_WAIT", "0.2")
    serve(site, month())
    target = folder / WHOLE[0]
    with file_lock(target), failing(LockTimeoutError, str(target)):
        fetch_month(JANUARY, site.url, folder)
    assert site.requests == []
    assert fetch_month(JANUARY, site.url, folder) == target


# --- a disk that will not take it ---

PAGE = resource.getpagesize()
PAGES = -(-len(month()) // PAGE)


def fill(disk: Path, room: int) -> None:
    """Leave this many pages free."""
    (disk / "filler").write_bytes(bytes(PAGE * (os.statvfs(disk).f_bavail - room)))
    assert os.statvfs(disk).f_bavail == room


@pytest.mark.few(2)
@pytest.mark.parametrize("room", [0, 1, 2, PAGES // 2, PAGES])
def test_full_disk(site: Site, disk: Path, room: int) -> None:
    serve(site, month(rows=1_000))
    fetch_month(JANUARY, site.url, disk)
    fill(disk, room)
    before = kept(disk)
    serve(site, month())
    with failing(LocalWriteError, str(disk / WHOLE[0]), "No space left on device"):
        fetch_month(JANUARY, site.url, disk)
    assert kept(disk) == before
    (disk / "filler").unlink()
    assert fetch_month(JANUARY, site.url, disk).read_bytes() == month()
    assert names(disk) == WHOLE


def test_disk_just_large_enough(site: Site, disk: Path) -> None:
    serve(site, month())
    fill(disk, PAGES + 1)
    assert fetch_month(JANUARY, site.url, disk).read_bytes() == month()
    fetch_month(JANUARY, site.url, disk)
    assert statuses(site) == [200, 304]


@pytest.mark.parametrize("most", [100_000, 10])
def test_file_larger_than_allowed(site: Site, folder: Path, most: int) -> None:
    serve(site, month(rows=1_000))
    fetch_month(JANUARY, site.url, folder)
    before = kept(folder)
    serve(site, month())
    said = printed(start(site, folder, largest_file=most))
    assert said.startswith(f"LocalWriteError cannot write {folder / WHOLE[0]}: File too large;")
    assert "\n" not in said
    assert kept(folder) == before


@pytest.mark.parametrize("below", ["", "raw", "raw/deeper"])
def test_folder_that_is_a_file(site: Site, tmp_path: Path, below: str) -> None:
    serve(site, month())
    (tmp_path / "file").write_text("in the way")
    with failing(LocalWriteError, str(tmp_path / "file" / below / WHOLE[0])):
        fetch_month(JANUARY, site.url, tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "in the way"
    assert site.requests == []


def test_file_that_is_a_folder(site: Site, folder: Path) -> None:
    serve(site, month())
    (folder / WHOLE[0]).mkdir(parents=True)
    with failing(LocalWriteError, str(folder / WHOLE[0])):
        fetch_month(JANUARY, site.url, folder)
    assert names(folder) == []
    assert (folder / WHOLE[0]).is_dir()
