"""The image, docker-compose.yml and the docker work pool, on a real engine: `make test-docker`."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from conftest import NO_SERVICE
from local_system import ROOT, System, free_port
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled

from mirror import Site
from nyc_taxi.months import TripMonth

pytestmark = pytest.mark.timeout(900)

NAME = "nyc-taxi-test"
IMAGE = "nyc-taxi:latest"
DOCKER_FLOW = "etl-parent-flow/docker-flow"


def docker(*command: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


def inspect(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker(kind, "inspect", name))[0]
    return found


@dataclass
class Compose(System):
    """The system of docker-compose.yml, beside one that may be in use on this machine."""

    def compose(self, *command: str) -> str:
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
        tool = ["docker-compose"] if plugin.returncode else ["docker", "compose"]
        done = subprocess.run(
            [*tool, *command], cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).strip()

    def state(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = inspect("container", self.container(service))["State"]
        return found

    def restarts(self, service: str) -> int:
        return int(inspect("container", self.container(service))["RestartCount"])

    def until(self, what: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.compose("ps") + self.compose("logs")
            time.sleep(0.5)

    def healthy(self, service: str) -> bool:
        return bool(self.state(service).get("Health", {}).get("Status") == "healthy")

    def in_volume(self) -> list[str]:
        listed = docker("run", "--rm", "-v", f"{NAME}-data:/data", IMAGE, "find", "/data/lake")
        return [Path(name).name for name in listed.splitlines() if name.endswith(".parquet")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip(f"{NO_SERVICE}no Docker engine answers")
    docker("build", "--tag", IMAGE, str(ROOT))
    folder = tmp_path_factory.mktemp("compose")
    # This machine, as containers see it: the first address of the engine's own network.
    host = ip_network(inspect("network", "bridge")["IPAM"]["Config"][0]["Subnet"])[1]
    (folder / "site").mkdir()
    port = free_port()
    with Site(folder / "site", host="0.0.0.0") as site:
        env = os.environ | {
            "COMPOSE_PROJECT_NAME": NAME,
            "NYC_TAXI_NETWORK": NAME,
            "NYC_TAXI_VOLUME": f"{NAME}-data",
            "NYC_TAXI_SOURCE_URL": re.sub(r"//[\d.]+", f"//{host}", site.url),
            "POSTGRES_PASSWORD": secrets.token_hex(16),
            "POSTGRES_PORT": str(free_port()),
            "PREFECT_PORT": str(port),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        }
        stack = Compose(env, folder, site)
        stack.compose("down", "--volumes", "--remove-orphans")
        try:
            stack.compose("up", "--detach")
            yield stack
        finally:
            stack.compose("down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="module")
def up(stack: Compose, month_file: Callable[..., Path]) -> Compose:
    """Healthy, with two months on the site and every deployment made."""
    for month in (1, 2):
        made = month_file(TripMonth("yellow", 2021, month), 2000)
        shutil.copy(made, stack.folder / "site")
    for service in ("postgres", "server", "worker", "docker-worker"):
        stack.until(lambda service=service: stack.healthy(service))  # type: ignore[misc]
    stack.until(lambda: not stack.state("deploy")["Running"])
    assert stack.state("deploy")["ExitCode"] == 0, docker("logs", stack.container("deploy"))
    return stack


def test_the_image_is_lean_and_not_root(stack: Compose) -> None:
    facts = inspect("image", IMAGE)
    assert facts["Config"]["User"] == "prefect"
    assert facts["Config"]["Healthcheck"]
    # what the image adds to its base, in bytes
    base = inspect("image", "python:3.11-slim")
    assert facts["Size"] - base["Size"] < 600e6
    held = docker("run", "--rm", IMAGE, "sh", "-c", "ls -A /opt/prefect; id -un")
    assert held.split() == [
        "blocks",
        "docker-requirements.txt",
        "flows",
        "prefect.yaml",
        "prefect",
    ]


def test_docker_flow_runs_in_a_container_of_its_own(up: Compose) -> None:
    run = up.run(DOCKER_FLOW, months=[1, 2])
    logs = up.compose("logs", "docker-worker")
    assert run.state_name == "Completed", logs
    assert run.infrastructure_pid, "the docker worker names the container it made"
    assert sorted(up.in_volume())[:2] == [
        "yellow_tripdata_2021-01.parquet",
        "yellow_tripdata_2021-02.parquet",
    ]


def test_a_container_of_the_pool_reaches_postgres(up: Compose) -> None:
    password = up.env["POSTGRES_PASSWORD"]
    ask = (
        "import asyncio, asyncpg; print(asyncio.run(asyncpg.connect("
        f"'postgresql://taxi:{password}@postgres/ny_taxi')).get_server_version().major)"
    )
    assert int(docker("run", "--rm", "--network", NAME, IMAGE, "python", "-c", ask)) >= 15


def test_a_scheduled_run_on_the_process_worker(up: Compose) -> None:
    run = up.run("etl-parent-flow/Parameterized ETL", months=[1])
    assert run.state_name == "Completed", up.compose("logs", "worker")


def test_python_deploys_it_as_well(up: Compose) -> None:
    made = up.shell(sys.executable, "flows/docker_deploy.py")
    assert made.returncode == 0, made.stdout + made.stderr
    with up.client as client:
        deployment = client.read_deployment_by_name(DOCKER_FLOW)
    assert deployment.entrypoint == "flows/parameterized_flow.py:etl_parent_flow"
    assert deployment.work_pool_name == "docker-pool"
    assert up.run(DOCKER_FLOW, months=[2]).state_name == "Completed"


@pytest.mark.parametrize("service", ["docker-worker", "server", "postgres"])
def test_killing_a_service_loses_no_scheduled_run(up: Compose, service: str) -> None:
    """SIGKILL, from outside, a moment before the run is due; the engine starts it again."""
    with up.client as client:
        deployment = client.read_deployment_by_name(DOCKER_FLOW)
        run: FlowRun = client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"months": [1]},
            state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=3)),
        )
    before = up.restarts(service)
    os.kill(up.state(service)["Pid"], signal.SIGKILL)
    up.until(lambda: up.restarts(service) > before and up.healthy(service))
    assert up.ended(run.id).state_name == "Completed"


def test_a_killed_container_is_a_crashed_run_and_the_next_one_runs(
    up: Compose, month_file: Callable[..., Path]
) -> None:
    march = month_file(TripMonth("yellow", 2021, 3), 2000)
    shutil.copy(march, up.folder / "site")
    up.site.slow(1000)
    with up.client as client:
        deployment = client.read_deployment_by_name(DOCKER_FLOW)
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"months": [3]})
        up.until(lambda: client.read_flow_run(run.id).state_name == "Running")
        container = client.read_flow_run(run.id).infrastructure_pid
    assert container
    docker("kill", container.rsplit(":", 1)[-1])
    assert up.ended(run.id).state_name == "Crashed"
    up.site.heal()
    assert up.run(DOCKER_FLOW, months=[3]).state_name == "Completed"
