"""Downloads by several processes, killed downloads, and full disks."""

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
    COMPLETE,
    JANUARY,
    PARTIAL,
    conditions,
    contents,
    fails_with,
    month_bytes,
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


def start(site: Site, folder: Path, max_file_size: int = 0) -> subprocess.Popen[str]:
    """Run `fetch_month` in a separate process, which prints the path or the error."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FETCH, site.url, str(folder), str(max_file_size)],
        env=env | {"PYTHONPATH": str(ROOT / "flows")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return out.strip()


def wait_for_a_quarter(folder: Path) -> None:
    part, deadline = folder / PARTIAL[0], time.monotonic() + 120
    while not part.exists() or part.stat().st_size < len(month_bytes()) // 4:
        assert time.monotonic() < deadline, "the download does not proceed"
        time.sleep(0.01)


def test_two_processes_download_once(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.slow(len(month_bytes()))
    both = [start(site, folder) for _ in range(2)]
    assert [printed(process) for process in both] == [str(folder / COMPLETE[0])] * 2
    assert statuses(site) == [200, 304]
    assert contents(folder)[COMPLETE[0]] == month_bytes()
    assert names(folder) == COMPLETE


def test_killed_download_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.slow(len(month_bytes()) / 2)
    with start(site, folder) as process:
        wait_for_a_quarter(folder)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert names(folder) == PARTIAL
    site.heal()
    size = (folder / PARTIAL[0]).stat().st_size
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    again = site.requests[-1]
    assert (again.status, conditions(again)["Range"]) == (206, f"bytes={size}-")
    assert again.bytes_sent == len(month_bytes()) - size
    assert names(folder) == COMPLETE


@pytest.mark.slow
def test_waiting_process_continues_after_a_kill(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.stall(after=len(month_bytes()) // 2)
    with start(site, folder) as first:
        wait_for_a_quarter(folder)
        second = start(site, folder)
        time.sleep(0.5)
        first.kill()
    assert printed(second) == str(folder / COMPLETE[0])
    assert statuses(site) == [200, 206]
    assert contents(folder)[COMPLETE[0]] == month_bytes()
    assert names(folder) == COMPLETE


def test_wait_for_the_lock_times_out(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_WAIT", "0.2")
    serve(site, month_bytes())
    target = folder / COMPLETE[0]
    with file_lock(target), fails_with(LockTimeoutError, str(target)):
        fetch_month(JANUARY, site.url, folder)
    assert site.requests == []
    assert fetch_month(JANUARY, site.url, folder) == target


# --- full disks ---

PAGE = resource.getpagesize()
PAGES = -(-len(month_bytes()) // PAGE)


def fill(disk: Path, free_pages: int) -> None:
    """Fill the disk except for some pages."""
    (disk / "filler").write_bytes(bytes(PAGE * (os.statvfs(disk).f_bavail - free_pages)))
    assert os.statvfs(disk).f_bavail == free_pages


@pytest.mark.few(2)
@pytest.mark.parametrize("free_pages", [0, 1, 2, PAGES // 2, PAGES])
def test_full_disk_is_a_local_error(site: Site, disk: Path, free_pages: int) -> None:
    serve(site, month_bytes(rows=1_000))
    fetch_month(JANUARY, site.url, disk)
    fill(disk, free_pages)
    before = contents(disk)
    serve(site, month_bytes())
    with fails_with(LocalWriteError, str(disk / COMPLETE[0]), "No space left on device"):
        fetch_month(JANUARY, site.url, disk)
    assert contents(disk) == before
    (disk / "filler").unlink()
    assert fetch_month(JANUARY, site.url, disk).read_bytes() == month_bytes()
    assert names(disk) == COMPLETE


def test_download_fits_on_a_nearly_full_disk(site: Site, disk: Path) -> None:
    serve(site, month_bytes())
    fill(disk, PAGES + 1)
    assert fetch_month(JANUARY, site.url, disk).read_bytes() == month_bytes()
    fetch_month(JANUARY, site.url, disk)
    assert statuses(site) == [200, 304]


@pytest.mark.few(1)
@pytest.mark.parametrize("max_size", [100_000, 10])
def test_file_size_limit_is_a_local_error(site: Site, folder: Path, max_size: int) -> None:
    serve(site, month_bytes(rows=1_000))
    fetch_month(JANUARY, site.url, folder)
    before = contents(folder)
    serve(site, month_bytes())
    text = printed(start(site, folder, max_file_size=max_size))
    assert text.startswith(f"LocalWriteError cannot write {folder / COMPLETE[0]}: File too large;")
    assert "\n" not in text
    assert contents(folder) == before


@pytest.mark.parametrize("subfolder", ["", "raw", "raw/deeper"])
def test_file_instead_of_the_folder_is_a_local_error(
    site: Site, tmp_path: Path, subfolder: str
) -> None:
    serve(site, month_bytes())
    (tmp_path / "file").write_text("in the way")
    with fails_with(LocalWriteError, str(tmp_path / "file" / subfolder / COMPLETE[0])):
        fetch_month(JANUARY, site.url, tmp_path / "file" / subfolder)
    assert (tmp_path / "file").read_text() == "in the way"
    assert site.requests == []


def test_folder_instead_of_the_file_is_a_local_error(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    (folder / COMPLETE[0]).mkdir(parents=True)
    with fails_with(LocalWriteError, str(folder / COMPLETE[0])):
        fetch_month(JANUARY, site.url, folder)
    assert names(folder) == []
    assert (folder / COMPLETE[0]).is_dir()
