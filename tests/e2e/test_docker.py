"""The image, docker-compose.yml and the docker work pool on a Docker engine: `make test-docker`."""

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
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from playwright.sync_api import Page
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled

from local_services.process import free_port
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.prefect_systems import ROOT, System
from tests.support.services import NO_SERVICE

pytestmark = pytest.mark.timeout(900)

NAME = "nyc-taxi-test"
IMAGE = "nyc-taxi:latest"
PYTHON313 = "python:3.13-slim"
DOCKER_FLOW = "etl-parent-flow/docker-flow"
PROCESS_FLOW = "etl-parent-flow/Parameterized ETL"
COUNT = """
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.settings import settings
from nyc_taxi.warehouses.registry import open_warehouse
print(open_warehouse(settings().warehouse).count(TripMonth("yellow", 2021, 1)))
"""


def docker(*command: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


def inspect(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker(kind, "inspect", name))[0]
    return found


@dataclass
class Compose(System):
    """The system of docker-compose.yml, separate from one that may be in use on this machine."""

    def compose(self, *command: str) -> str:
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
        tool = ["docker-compose"] if plugin.returncode else ["docker", "compose"]
        empty = self.folder / "env"  # ignores .env of this checkout
        empty.touch()
        tool += ["--env-file", str(empty)]
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

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.compose("ps") + self.compose("logs")
            time.sleep(0.5)

    def healthy(self, service: str) -> bool:
        return bool(self.state(service).get("Health", {}).get("Status") == "healthy")

    def deployed(self) -> bool:
        state = self.state("deploy")
        return bool(not state["Running"] and state["ExitCode"] == 0)

    def rows(self, table: str) -> int:
        """Return the number of rows in a PostgreSQL table."""
        link = psycopg2.connect(
            host="127.0.0.1",
            port=int(self.env["POSTGRES_PORT"]),
            dbname="ny_taxi",
            user="taxi",
            password=self.env["POSTGRES_PASSWORD"],
        )
        with closing(link) as db, db.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            (found,) = cursor.fetchone() or (0,)
        return int(found)

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
    folder = tmp_path_factory.mktemp("compose")
    # This machine's address in containers: the first one of the engine's default network.
    host = ip_network(inspect("network", "bridge")["IPAM"]["Config"][0]["Subnet"])[1]
    (folder / "site").mkdir()
    port = free_port()
    with Site(folder / "site", host="0.0.0.0") as site:
        unset = ("NYC_TAXI_", "PREFECT_", "POSTGRES_", "COMPOSE_")
        kept = {name: v for name, v in os.environ.items() if not name.startswith(unset)}
        env = kept | {
            "COMPOSE_PROJECT_NAME": NAME,
            "NYC_TAXI_NETWORK": NAME,
            "NYC_TAXI_VOLUME": f"{NAME}-data",
            "NYC_TAXI_SOURCE_URL": re.sub(r"//[\d.]+", f"//{host}", site.url),
            "POSTGRES_PASSWORD": f"{secrets.token_hex(16)}@:/%$",
            "PREFECT_AUTH_STRING": (auth := f"admin:{secrets.token_hex(16)}"),
            "PREFECT_API_AUTH_STRING": auth,
            "POSTGRES_PORT": str(free_port()),
            "PREFECT_PORT": str(port),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        }
        stack = Compose(env, folder, site)
        down = ("--profile", "emulators", "down", "--volumes", "--remove-orphans")
        stack.compose(*down)
        try:
            stack.compose("up", "--build", "--detach")
            yield stack
        finally:
            stack.compose(*down)


@pytest.fixture(scope="module")
def up(stack: Compose, month_file: Callable[..., Path]) -> Compose:
    """The healthy system with every deployment, and two months on the site."""
    for month in (1, 2):
        made = month_file(TripMonth("yellow", 2021, month), 2000)
        shutil.copy(made, stack.folder / "site")
    for service in ("postgres", "server", "worker", "docker-worker"):
        stack.until(lambda service=service: stack.healthy(service))  # type: ignore[misc]
    stack.until(stack.deployed)
    return stack


@pytest.fixture(scope="module")
def from_python(up: Compose) -> Compose:
    made = up.shell(sys.executable, "flows/docker_deploy.py")
    assert made.returncode == 0, made.stdout + made.stderr
    return up


@pytest.fixture(scope="module")
def emulated(up: Compose) -> Compose:
    """The system with the emulators, and the settings of .env.example that make flows use them."""
    lines = (ROOT / ".env.example").read_text().rpartition("\n\n")[2]
    google = dict(re.findall(r"^#([A-Z_]+)=(.+)$", lines, re.MULTILINE))
    services = []
    if not has_python313():
        for name in ("COMPOSE_PROFILES", "BIGQUERY_EMULATOR_HOST", "NYC_TAXI_WAREHOUSE"):
            del google[name]
        services = ["gcs", "deploy", "worker", "docker-worker"]
    stack = replace(up, env=up.env | google)
    stack.compose("up", "--build", "--detach", *services)
    for service in ("worker", "docker-worker"):
        stack.until(lambda service=service: stack.healthy(service))  # type: ignore[misc]
    stack.until(stack.deployed)
    return stack


def has_python313() -> bool:
    return any(
        subprocess.run(["docker", *command, PYTHON313], capture_output=True).returncode == 0
        for command in (["image", "inspect"], ["pull"])
    )


def test_image_is_small_and_not_root(stack: Compose) -> None:
    facts = inspect("image", IMAGE)
    assert facts["Config"]["User"] == "prefect"
    assert facts["Config"]["Healthcheck"]
    # Bytes added to the base image.
    base = inspect("image", "python:3.11-slim")
    assert facts["Size"] - base["Size"] < 720e6
    output = docker("run", "--rm", IMAGE, "sh", "-c", "ls -A /opt/prefect; id -un")
    assert output.split() == [
        "blocks",
        "dbt",
        "docker",
        "docker-requirements.txt",
        "flows",
        "local_services",
        "prefect.yaml",
        "prefect",
    ]


def test_docker_flow_runs_in_a_new_container(up: Compose) -> None:
    run = up.run(DOCKER_FLOW, months=[1, 2])
    logs = up.compose("logs", "docker-worker")
    assert run.state_name == "Completed", logs
    assert run.infrastructure_pid, "the docker worker reports the id of the container"
    assert sorted(up.in_volume())[:2] == [
        "yellow_tripdata_2021-01.parquet",
        "yellow_tripdata_2021-02.parquet",
    ]


def test_process_flow_runs_on_the_process_worker(up: Compose) -> None:
    run = up.run(PROCESS_FLOW, months=[1])
    assert run.state_name == "Completed", up.compose("logs", "worker")


def test_python_deploys_two_flows_with_one_image(from_python: Compose) -> None:
    with from_python.client as client:
        names = (DOCKER_FLOW, "Ingest Data/docker-ingest")
        deployments = [client.read_deployment_by_name(name) for name in names]
    assert [(d.entrypoint, d.work_pool_name, d.job_variables["image"]) for d in deployments] == [
        ("flows/parameterized_flow.py:etl_parent_flow", "docker-pool", IMAGE),
        ("flows/ingest_data_flow.py:ingest_data", "docker-pool", IMAGE),
    ]
    assert from_python.run(DOCKER_FLOW, months=[2]).state_name == "Completed"


@pytest.mark.parametrize("name", ["Ingest Data", "docker-ingest"])
def test_ingest_data_loads_a_month_into_postgres(from_python: Compose, name: str) -> None:
    """Through the block, on both workers; the password contains special characters."""
    table = name.lower().replace(" ", "_").replace("-", "_")
    run = from_python.run(f"Ingest Data/{name}", months=[1], table_name=table, keep_zero=True)
    assert run.state_name == "Completed", from_python.compose("logs", "worker", "docker-worker")
    assert from_python.rows(table) == 2000


def test_server_rejects_other_origins_and_callers_without_the_auth_string(up: Compose) -> None:
    url = up.env["PREFECT_API_URL"]
    user, _, password = up.env["PREFECT_AUTH_STRING"].partition(":")
    auth = (user, password)
    assert httpx.post(f"{url}/flows/filter", json={}).status_code == 401
    assert httpx.post(f"{url}/flows/filter", json={}, auth=auth).status_code == 200
    evil = {"Origin": "http://evil.example"}
    assert httpx.post(f"{url}/flows/filter", json={}, auth=auth, headers=evil).status_code == 403


def test_ui_asks_for_the_auth_string(up: Compose, page: Page) -> None:
    page.goto(f"{up.env['PREFECT_API_URL'].removesuffix('/api')}/dashboard")
    page.get_by_role("textbox").fill(up.env["PREFECT_AUTH_STRING"])
    page.keyboard.press("Enter")
    page.get_by_text("Work Pools").first.wait_for()


def test_work_pools_do_not_contain_the_auth_string(up: Compose) -> None:
    with up.client as client:
        saved = "".join(pool.model_dump_json() for pool in client.read_work_pools())
    assert "docker-pool" in saved
    assert up.env["PREFECT_AUTH_STRING"] not in saved


def test_pools_and_deployments_do_not_contain_the_postgres_password(up: Compose) -> None:
    with up.client as client:
        pools = [pool.model_dump_json() for pool in client.read_work_pools()]
        deployments = [deployment.model_dump_json() for deployment in client.read_deployments()]
        assert len(pools) == 2
    saved = "".join(pools + deployments)
    assert up.env["POSTGRES_PASSWORD"][:32] not in saved
    assert "****" not in saved


@pytest.mark.parametrize(
    ("service", "deployment"),
    [
        ("worker", PROCESS_FLOW),
        ("docker-worker", DOCKER_FLOW),
        ("server", DOCKER_FLOW),
        ("postgres", DOCKER_FLOW),
    ],
)
def test_killing_a_service_loses_no_scheduled_run(
    up: Compose, service: str, deployment: str
) -> None:
    """SIGKILL, from outside, just before the run is due; the engine restarts the service."""
    with up.client as client:
        found = client.read_deployment_by_name(deployment)
        run: FlowRun = client.create_flow_run_from_deployment(
            found.id,
            parameters={"months": [1]},
            state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=3)),
        )
    before = up.restarts(service)
    os.kill(up.state(service)["Pid"], signal.SIGKILL)
    up.until(lambda: up.restarts(service) > before and up.healthy(service))
    assert up.wait_until_final(run.id).state_name == "Completed"


def test_a_killed_container_crashes_its_run_and_the_next_run_completes(
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
    assert up.wait_until_final(run.id).state_name == "Crashed"
    up.site.heal()
    assert up.run(DOCKER_FLOW, months=[3]).state_name == "Completed"


@pytest.mark.parametrize(("deployment", "month"), [(DOCKER_FLOW, 1), (PROCESS_FLOW, 2)])
def test_flow_writes_a_month_to_the_gcs_emulator(
    emulated: Compose, deployment: str, month: int
) -> None:
    find = ("exec", "-T", "gcs", "find", "/data", "-name", f"*2021-0{month}.parquet*")
    assert not emulated.compose(*find)
    run = emulated.run(deployment, months=[month])
    assert run.state_name == "Completed", emulated.compose("logs")
    assert emulated.compose(*find)


def test_flow_loads_a_month_from_gcs_into_the_bigquery_emulator(emulated: Compose) -> None:
    if "BIGQUERY_EMULATOR_HOST" not in emulated.env:
        pytest.skip(f"the image {PYTHON313} cannot be pulled: no registry answers")
    run = emulated.run("etl-gcs-to-bq/etl-gcs-to-bq", months=[1])
    assert run.state_name == "Completed", emulated.compose("logs")
    assert emulated.compose("exec", "-T", "worker", "python", "-c", COUNT).split() == ["2000"]
