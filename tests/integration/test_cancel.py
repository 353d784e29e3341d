"""Cancellation from the API, and `docker stop`: a run of a worker ends within seconds."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from nyc_taxi.orchestration.work_pools import JOB_COMMAND, save_pool
from synthetic_tlc import Site
from tests.support.interrupts import SECONDS
from tests.support.prefect_systems import System
from tests.support.processes import ROOT, until
from tests.support.workers import worker

FLOW = "flows/etl_web_to_bq.py:etl_web_to_bq"


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


@pytest.mark.slow
def test_cancellation_ends_a_run_of_a_worker(
    bare_system: System, published_months: None, site: Site, tmp_path: Path
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
    bare_system: System, published_months: None, site: Site, tmp_path: Path
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
