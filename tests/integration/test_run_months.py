"""Runs of several months: failed and stopped months, and artifacts that the server refuses."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import prefect
import pytest
from prefect.client.orchestration import get_client

from nyc_taxi.cancellation import Stopped, run_in_threads, stoppable
from nyc_taxi.errors import PartialFailureError, TransientSourceError
from nyc_taxi.orchestration.run_months import run_months
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.trips.months import TripMonth
from parameterized_flow import etl_parent_flow
from synthetic_tlc import Site


@pytest.mark.slow
def test_partial_failure_publishes_every_month(
    prefect_server: None, site: Site, month_file: Callable[..., Path]
) -> None:
    made = month_file(TripMonth("yellow", 2021, 3), 100)
    (site.folder / made.name).hardlink_to(made)
    with pytest.raises(PartialFailureError, match="1 of 2 months failed: yellow 2021-04: "):
        etl_parent_flow(months=[3, 4])
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    artifacts.sort(key=lambda artifact: str(artifact.created))
    table = str([a.data for a in artifacts if a.key == "yellow-2021"][-1])
    assert re.search('"month": "yellow 2021-03".*"rows": 100', table)
    assert re.search('"month": "yellow 2021-04".*"failed": ".*403', table)
    progress = [a.data for a in artifacts if a.type == "progress"]
    assert 50.0 in progress


def test_artifact_failure_does_not_hide_the_error(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server becomes unreachable for artifacts during a run."""

    def no_server(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("connection refused")

    for name in ("update_progress_artifact", "create_table_artifact"):
        monkeypatch.setattr(f"nyc_taxi.orchestration.artifacts.{name}", no_server)

    @prefect.flow
    def months() -> list[str]:
        def step(trips: TripMonth) -> str:
            if trips.month == 2:
                raise TransientSourceError("its reason")
            return str(trips)

        return run_months(step, [TripMonth("yellow", 2021, m) for m in (1, 2)], table="table")

    with pytest.raises(
        PartialFailureError, match="1 of 2 months failed: yellow 2021-02: its reason"
    ):
        months()
    assert "cannot save an artifact" in caplog.text


def test_file_lock_wait_ends_when_the_run_is_stopped(tmp_path: Path) -> None:
    target = tmp_path / "file"

    def write(_: int) -> None:
        with file_lock(target):
            pass

    with file_lock(target), stoppable() as stop:
        (waiting,) = run_in_threads(write, [1], at_once=1)
        time.sleep(0.3)
        stop.set()
        with pytest.raises(Stopped):
            waiting.result(1)
