"""Signals and cancellation: a script ends within seconds, with one line, at any point of a run."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psutil
import psycopg2
import pytest
from filelock import FileLock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from nyc_taxi.errors import INTERRUPTED
from nyc_taxi.orchestration.work_pools import JOB_COMMAND, save_pool
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.prefect_homes import prefect_home
from tests.support.prefect_systems import System
from tests.support.processes import ROOT
from tests.support.workers import worker

SECONDS = 5
FLOW = "flows/etl_web_to_bq.py:etl_web_to_bq"
MONTHS = [TripMonth("yellow", 2021, month) for month in (1, 2, 3)]
ROWS = 700_000
OTHER_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


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
def run(tmp_path: Path, site: Site) -> Iterator[Callable[..., Script]]:
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
def months(site: Site, month_file: Callable[..., Path]) -> None:
    for trips in MONTHS:
        (site.folder / f"{trips.stem}.parquet").hardlink_to(month_file(trips, ROWS))


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


def unfinished(folder: Path) -> list[str]:
    """Return partial files that a later run cannot resume."""
    return [
        str(path.relative_to(folder))
        for path in [*(folder / "data").rglob("*"), *(folder / "lake").rglob("*")]
        if path.name.endswith(".part") and "raw" not in path.parts
    ]


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
    months: None,
    site: Site,
    tmp_path: Path,
    run: Callable[..., Script],
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
        "retry": lambda: len(site.requests) > 2,
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
        script = run("etl_web_to_bq.py", "--months", "1,2,3", NYC_TAXI_MONTHS_AT_ONCE="1")
        assert script.reaches(reached[stage]), script.output()
        script.interrupt(number)
    assert unfinished(tmp_path) == []
    if stage != "load":  # which may end before the signal arrives
        assert not [r for r in site.requests if "2021-01" not in r.path]
    assert loaded(tmp_path) in ([], [("2021-01-01", ROWS)])
    assert still_running(since) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda value: value.name)
def test_signal_ends_the_temporary_server(
    months: None,
    site: Site,
    tmp_path: Path,
    no_server: Path,
    run: Callable[..., Script],
    number: signal.Signals,
) -> None:
    """Ctrl-C and service managers signal the whole process group."""
    site.stall(after=1000, times=None)
    script = run("etl_web_to_bq.py", "--months", "1,2")
    assert script.reaches(lambda: bool(site.requests)), script.output()
    servers = children(script)
    assert servers
    script.interrupt(number, group=True)
    assert psutil.wait_procs(servers, timeout=10)[1] == []


@pytest.mark.slow
def test_repeated_signals_end_a_run_with_one_line(
    months: None, site: Site, no_server: Path, run: Callable[..., Script]
) -> None:
    """Also while the temporary server is stopping and logs are still buffered."""
    site.answer(503, times=100)
    script = run("etl_web_to_bq.py", "--months", "1,2")
    assert script.reaches(lambda: "retrying" in script.output()), script.output()
    servers = children(script)
    script.interrupt(signal.SIGINT, group=True, times=20)
    assert psutil.wait_procs(servers, timeout=10)[1] == []


def test_signal_during_import_prints_one_line(run: Callable[..., Script]) -> None:
    script = run("etl_web_to_bq.py")
    mapped = Path(f"/proc/{script.process.pid}/maps")
    assert script.reaches(lambda: "pydantic_core" in mapped.read_text()), script.output()
    script.process.send_signal(signal.SIGINT)
    assert script.process.wait(30) == -signal.SIGINT
    assert script.output().splitlines() == [INTERRUPTED]


@pytest.mark.slow
def test_signal_during_server_startup_stops_the_server(
    site: Site, no_server: Path, run: Callable[..., Script]
) -> None:
    script = run("etl_web_to_bq.py")
    assert script.reaches(lambda: "Starting temporary server" in script.output())
    servers = children(script)
    script.interrupt(signal.SIGINT, group=True)
    assert psutil.wait_procs(servers, timeout=10)[1] == []


@pytest.mark.slow
def test_temporary_server_ends_when_the_script_is_killed(
    months: None, site: Site, no_server: Path, run: Callable[..., Script]
) -> None:
    site.stall(after=1000, times=None)
    script = run("etl_web_to_local.py")
    assert script.reaches(lambda: bool(site.requests)), script.output()
    servers = children(script)
    assert servers
    script.process.kill()
    assert psutil.wait_procs(servers, timeout=10)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["etl_web_to_local.py", "etl_web_to_gcs.py"])
def test_signal_ends_a_flow_of_one_month(
    prefect_server: None, months: None, site: Site, run: Callable[..., Script], flow: str
) -> None:
    site.stall(after=1000, times=None)
    since = datetime.now(UTC)
    script = run(flow)
    assert script.reaches(lambda: bool(site.requests)), script.output()
    script.interrupt(signal.SIGINT)
    assert still_running(since) == []


@pytest.mark.slow
def test_signal_ends_a_wait_for_a_postgres_lock(
    months: None, site: Site, postgres: str, run: Callable[..., Script]
) -> None:
    """No lock and no waiting session remain."""
    with closing(psycopg2.connect(postgres)) as link, link.cursor() as cursor:
        link.autocommit = True
        script = run("ingest_data_flow.py")
        assert script.process.wait(90) == 0, script.output()
        cursor.execute("BEGIN; LOCK TABLE yellow_taxi_trips IN ACCESS SHARE MODE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

        def waits() -> bool:
            with closing(psycopg2.connect(postgres)) as other, other.cursor() as probe:
                probe.execute(waiting)
                return bool((probe.fetchone() or (0,))[0])

        script = run("ingest_data_flow.py")
        assert script.reaches(waits), script.output()
        script.interrupt(signal.SIGINT)
        cursor.execute("COMMIT")
        cursor.execute("SELECT count(*) FROM yellow_taxi_trips")
        assert (cursor.fetchone() or ())[0] > 0

        def is_alone() -> bool:
            cursor.execute(OTHER_SESSIONS)
            return cursor.fetchone() == (0,)

        assert until(is_alone, SECONDS)


@pytest.mark.slow
def test_signal_during_copy_rolls_back(
    site: Site, postgres: str, tmp_path: Path, month_file: Callable[..., Path],
    run: Callable[..., Script],
) -> None:  # fmt: skip
    """The month is not loaded, no lock remains, and the next run loads it."""
    trips = MONTHS[0]
    (site.folder / f"{trips.stem}.parquet").hardlink_to(month_file(trips, 2_000_000))

    with closing(psycopg2.connect(postgres)) as link, link.cursor() as cursor:
        link.autocommit = True

        def found(sql: str) -> Any:
            cursor.execute(sql)
            return (cursor.fetchone() or (None,))[0]

        script = run("ingest_data_flow.py")
        copied = "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy"
        assert script.reaches(lambda: found(copied) > 10_000), script.output()
        script.interrupt(signal.SIGTERM)
        assert until(lambda: found(OTHER_SESSIONS) == 0, SECONDS)
        assert found("SELECT count(*) FROM pg_class WHERE relname LIKE 'yellow_taxi_trips%'") == 0
        assert unfinished(tmp_path) == []
        script = run("ingest_data_flow.py")
        assert script.process.wait(90) == 0, script.output()
        assert found("SELECT count(*) FROM yellow_taxi_trips") > 1_900_000  # with passengers


def final_states(flow_run: FlowRun, seconds: float = SECONDS) -> dict[str, str]:
    """Wait for the final states of the run and its subflows; returns name -> state."""
    deadline = time.monotonic() + seconds
    with get_client(sync_client=True) as client:
        while True:
            found = client.read_flow_run(flow_run.id)
            subflows = client.read_flow_runs(
                flow_run_filter=FlowRunFilter.model_validate(
                    {"parent_flow_run_id": {"any_": [str(flow_run.id)]}}
                )
            )
            states = {run.name: run.state for run in [found, *subflows]}
            final = all(state and state.is_final() for state in states.values())
            if final or time.monotonic() > deadline:
                return {name: state.name for name, state in states.items() if state and state.name}
            time.sleep(0.1)


def until(point: Callable[[], bool], seconds: float = 90) -> bool:
    deadline = time.monotonic() + seconds
    while not point() and time.monotonic() < deadline:
        time.sleep(0.05)
    return point()


@pytest.mark.slow
def test_cancellation_ends_a_run_of_a_worker(
    bare_system: System, months: None, site: Site, tmp_path: Path
) -> None:
    site.answer(503, times=1000)
    env = bare_system.env | {"NYC_TAXI_SOURCE_URL": site.url, "NYC_TAXI_MONTHS_AT_ONCE": "1"}
    with worker("process-pool", env, tmp_path) as log:
        run = bare_system.start(FLOW, "process-pool", months=[1, 2])
        assert until(lambda: len(site.requests) > 1), log.read_text()
        with bare_system.client as client:
            client.set_flow_run_state(run.id, Cancelling())
        # The worker polls every 3 s for the end of a stopped process; under load it takes longer.
        states = final_states(run, 30)
    assert states == {"yellow 2021 [1, 2]": "Cancelled", "yellow 2021-01": "Cancelled"}


@pytest.mark.slow
def test_docker_stop_ends_a_run(
    bare_system: System, months: None, site: Site, tmp_path: Path
) -> None:
    """Run the command of docker-pool's containers as process 1 of a PID namespace."""
    site.answer(503, times=1000)
    save_pool("stopped-pool", "process")
    run = bare_system.start(FLOW, "stopped-pool", months=[1, 2])
    command = JOB_COMMAND.replace("/opt/prefect/docker", str(ROOT / "docker"))
    log = tmp_path / "container"
    env = bare_system.env | {
        "NYC_TAXI_SOURCE_URL": site.url,
        "PREFECT__FLOW_RUN_ID": str(run.id),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with log.open("wb") as file:
        container = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", *shlex.split(command)],
            env=env,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert until(lambda: len(site.requests) > 1), log.read_text()
        (first,) = psutil.Process(container.pid).children()
        first.terminate()
        assert container.wait(SECONDS) == 143, log.read_text()
        assert set(final_states(run).values()) == {"Crashed"}
    finally:
        container.kill()
        container.wait()
