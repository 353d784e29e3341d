"""Signals: a script ends within seconds, with one line, at any point of a run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter

from nyc_taxi.errors import INTERRUPTED
from synthetic_tlc import Site
from tests.support.interrupts import MONTHS, ROWS, Script, unfinished


def still_running(since: datetime) -> list[str]:
    """Return flow runs started since then whose state is still RUNNING."""
    wanted = {"state": {"type": {"any_": ["RUNNING"]}}, "start_time": {"after_": since.isoformat()}}
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted))
    return [run.name for run in found]


def loaded(tmp_path: Path) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    path = str(tmp_path / "warehouse.duckdb")
    no_table = suppress(duckdb.IOException, duckdb.CatalogException)
    with no_table, duckdb.connect(path, read_only=True) as db:
        rows += db.execute(
            "SELECT trip_month::TEXT, count(*) FROM dezoomcamp.yellow_rides GROUP BY ALL"
        ).fetchall()
    return rows


STAGES = ["stalled", "slow", "retry", "file lock", "conform", "load"]


@pytest.mark.slow_on("stalled", "slow", "retry", "file lock", "conform", "load-SIGTERM")
@pytest.mark.parametrize(
    ("stage", "number"),
    [*((stage, signal.SIGINT) for stage in STAGES), ("stalled", signal.SIGTERM)]
    + [("conform", signal.SIGTERM), ("load", signal.SIGTERM)],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else value,
)
def test_signal_ends_a_run_in_any_stage(
    prefect_server: None,
    published_months: None,
    site: Site,
    tmp_path: Path,
    run_script: Callable[..., Script],
    stage: str,
    number: signal.Signals,
) -> None:
    """One month at a time: the pending months are neither fetched nor loaded."""
    stem = MONTHS[0].stem
    raw = tmp_path / "data" / "raw" / "yellow" / f"{stem}.parquet"
    conformed = tmp_path / "data" / "yellow" / f"{stem}.parquet.part"
    reached: dict[str, Callable[[], bool]] = {
        "stalled": lambda: bool(site.requests),
        "slow": lambda: raw.with_name(f"{raw.name}.part").exists(),
        "retry": lambda: script.output().count("retrying in") > 2,
        "file lock": lambda: "Beginning subflow run" in script.output(),
        "conform": lambda: conformed.exists() and conformed.stat().st_size > 0,
        "load": lambda: (tmp_path / "warehouse.duckdb.wal").exists(),
    }
    if stage == "stalled":
        site.stall(after=1000, times=None)
    if stage == "slow":
        site.slow(50_000)
    if stage == "retry":
        site.answer(503, times=100)
    raw.parent.mkdir(parents=True)
    with FileLock(raw.with_name(f".{raw.name}.lock")) as lock:
        if stage != "file lock":
            lock.release()
        since = datetime.now(UTC)
        script = run_script("etl_web_to_bq.py", "--months", "1,2,3", NYC_TAXI_MONTHS_AT_ONCE="1")
        assert script.reaches(reached[stage]), script.output()
        script.interrupt(number)
    assert unfinished(tmp_path) == []
    if stage != "load":  # which may end before the signal arrives
        assert not [r for r in site.requests if "2021-01" not in r.path]
    assert loaded(tmp_path) in ([], [("2021-01-01", ROWS)])
    assert still_running(since) == []


def test_signal_during_import_prints_one_line(run_script: Callable[..., Script]) -> None:
    script = run_script("etl_web_to_bq.py")
    mapped = Path(f"/proc/{script.process.pid}/maps")
    assert script.reaches(lambda: "pydantic_core" in mapped.read_text()), script.output()
    script.process.send_signal(signal.SIGINT)
    assert script.process.wait(30) == -signal.SIGINT
    assert script.output().splitlines() == [INTERRUPTED]


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["etl_web_to_local.py", "etl_web_to_gcs.py"])
def test_signal_ends_a_flow_of_one_month(
    prefect_server: None,
    published_months: None,
    site: Site,
    run_script: Callable[..., Script],
    flow: str,
) -> None:
    site.stall(after=1000, times=None)
    since = datetime.now(UTC)
    script = run_script(flow)
    assert script.reaches(lambda: bool(site.requests)), script.output()
    script.interrupt(signal.SIGINT)
    assert still_running(since) == []
