"""Signals to a script with its own temporary Prefect server: none is left behind."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from synthetic_tlc import Site
from tests.support.interrupts import Script
from tests.support.prefect_homes import prefect_home


@pytest.fixture
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No PREFECT_API_URL, and an empty PREFECT_HOME."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    home = prefect_home(tmp_path / "home")
    monkeypatch.setenv("PREFECT_HOME", str(home))
    return home


def children(script: Script) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(script.process.pid).children(recursive=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda value: value.name)
def test_signal_ends_the_temporary_server(
    published_months: None,
    site: Site,
    tmp_path: Path,
    no_server: Path,
    run_script: Callable[..., Script],
    number: signal.Signals,
) -> None:
    """Ctrl-C and service managers signal the whole process group."""
    site.stall(after=1000, times=None)
    script = run_script("etl_web_to_bq.py", "--months", "1,2")
    assert script.reaches(lambda: bool(site.requests)), script.output()
    servers = children(script)
    assert servers
    script.interrupt(number, group=True)
    assert psutil.wait_procs(servers, timeout=10)[1] == []


@pytest.mark.slow
def test_repeated_signals_end_a_run_with_one_line(
    published_months: None, site: Site, no_server: Path, run_script: Callable[..., Script]
) -> None:
    """Also while the temporary server is stopping and logs are still buffered."""
    site.answer(503, times=100)
    script = run_script("etl_web_to_bq.py", "--months", "1,2")
    assert script.reaches(lambda: "retrying" in script.output()), script.output()
    servers = children(script)
    script.interrupt(signal.SIGINT, group=True, times=20)
    assert psutil.wait_procs(servers, timeout=10)[1] == []


@pytest.mark.slow
def test_signal_during_server_startup_stops_the_server(
    site: Site, no_server: Path, run_script: Callable[..., Script]
) -> None:
    script = run_script("etl_web_to_bq.py")
    assert script.reaches(lambda: "Starting temporary server" in script.output())
    servers = children(script)
    script.interrupt(signal.SIGINT, group=True)
    assert psutil.wait_procs(servers, timeout=10)[1] == []


@pytest.mark.slow
def test_temporary_server_ends_when_the_script_is_killed(
    published_months: None, site: Site, no_server: Path, run_script: Callable[..., Script]
) -> None:
    site.stall(after=1000, times=None)
    script = run_script("etl_web_to_local.py")
    assert script.reaches(lambda: bool(site.requests)), script.output()
    servers = children(script)
    assert servers
    script.process.kill()
    assert psutil.wait_procs(servers, timeout=10)[1] == []
