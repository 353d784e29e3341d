"""The server of docker-compose.yml: only callers with its auth string, from known hosts."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient

from local_services import Service
from local_services.process import free_port, running
from tests.support.prefect_homes import prefect_home
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(900)  # servers start slowly on a busy machine
EVIL = "http://evil.example"
AUTH = "admin:a-string-of-the-tests"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = prefect_home(tmp_path_factory.mktemp("compose"))
    port = free_port()
    command = service("server")["command"].replace("0.0.0.0", "127.0.0.1")
    command = re.sub(r"\$\{PREFECT_PORT:-4200\}", str(port), command)
    program, *arguments = shlex.split(command)
    assert program == "python"
    server = Service(
        "server",
        folder,
        (sys.executable, *arguments, "--port", str(port)),
        port,
        path="/api/health",
        env={
            "PREFECT_HOME": str(folder),
            "PREFECT_SERVER_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        },
    )
    with running(server):
        yield server.url


@pytest.mark.slow
class TestComposeServer:
    """docker/prefect_server.py with the options of docker-compose.yml, on another address."""

    def test_callers_without_the_auth_string_get_401(self, url: str) -> None:
        for auth in (None, ("admin", "wrong")):
            answer = httpx.post(f"{url}/api/flows/filter", json={}, auth=auth)
            assert answer.status_code == 401

    def test_clients_with_the_auth_string_are_accepted(self, url: str) -> None:
        with SyncPrefectClient(api=f"{url}/api", auth_string=AUTH) as client:
            assert client.read_flows() == []

    @pytest.mark.parametrize("host", ["server:4200", "LOCALHOST.", "host.docker.internal:4200"])
    def test_containers_are_accepted_under_its_host_names(self, url: str, host: str) -> None:
        auth = ("admin", AUTH.partition(":")[2])
        answer = httpx.post(f"{url}/api/flows/filter", json={}, auth=auth, headers={"Host": host})
        assert answer.status_code == 200

    def test_other_origins_are_rejected_even_with_the_auth_string(self, url: str) -> None:
        auth = ("admin", AUTH.partition(":")[2])
        for headers in ({"Origin": EVIL}, {"Host": "evil.example"}):
            answer = httpx.post(f"{url}/api/flows/filter", json={}, auth=auth, headers=headers)
            assert answer.status_code == 403


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def test_compose_publishes_ports_on_loopback_only() -> None:
    ports = [port for facts in COMPOSE["services"].values() for port in facts.get("ports", [])]
    assert len(ports) == 2
    assert all(re.match(r"127\.0\.0\.1:", port) for port in ports)


def test_compose_services_that_call_the_api_have_the_auth_string() -> None:
    required = r"\$\{PREFECT_AUTH_STRING:\?.+\}"
    for name in ("deploy", "worker", "docker-worker"):
        assert re.fullmatch(required, service(name)["environment"]["PREFECT_API_AUTH_STRING"])
    server = service("server")["environment"]
    assert re.fullmatch(required, server["PREFECT_SERVER_API_AUTH_STRING"])
