"""Scripts that tests interrupt, and the months that they load."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from nyc_taxi.errors import INTERRUPTED
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.processes import ROOT

SECONDS = 5
MONTHS = [TripMonth("yellow", 2021, month) for month in (1, 2, 3)]
ROWS = 700_000


@dataclass
class Script:
    """A script in its own process group."""

    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def reaches(self, point: Callable[[], bool]) -> bool:
        """Wait for a condition; False if the script ends first."""
        deadline = time.monotonic() + 90
        while not point():
            if self.process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def interrupt(self, number: signal.Signals, group: bool = False, times: int = 1) -> None:
        """Send the signal; assert that the script ends in time with one line and its exit code."""
        before = len(self.output())
        sent = time.monotonic()
        send = os.killpg if group else os.kill
        for _ in range(times):
            with suppress(subprocess.TimeoutExpired):
                send(self.process.pid, number)
                self.process.wait(0.3 if times > 1 else 30)
                break
        code = self.process.wait(30)
        assert time.monotonic() - sent < SECONDS, self.output()
        assert code == 128 + number, self.output()
        *others, last = self.output()[before:].splitlines()
        assert last == INTERRUPTED, self.output()
        assert not [line for line in others if "INFO" not in line], others


@pytest.fixture
def run_script(tmp_path: Path, site: Site) -> Iterator[Callable[..., Script]]:
    started: list[Script] = []

    def run(script: str, *options: str, **env: str) -> Script:
        log = tmp_path / f"log{len(started)}"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, ROOT / "flows" / script, *options],
                env=os.environ | env,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Script(process, log))
        return started[-1]

    yield run
    for script in started:
        if script.process.poll() is None:
            script.process.kill()
            script.process.wait()


@pytest.fixture
def published_months(site: Site, month_file: Callable[..., Path]) -> None:
    for trips in MONTHS:
        (site.folder / f"{trips.stem}.parquet").hardlink_to(month_file(trips, ROWS))


def unfinished(folder: Path) -> list[str]:
    """Return partial files that a later run cannot resume."""
    return [
        str(path.relative_to(folder))
        for path in [*(folder / "data").rglob("*"), *(folder / "lake").rglob("*")]
        if path.name.endswith(".part") and "raw" not in path.parts
    ]
