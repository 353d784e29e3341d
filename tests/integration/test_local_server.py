"""The server of `make up-local`: other origins and hosts are rejected, and files are private."""

from __future__ import annotations

import asyncio
import json
import stat
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from local_services import Service
from tests.support.prefect_systems import System

pytestmark = pytest.mark.timeout(900)  # servers start slowly on a busy machine
EVIL = "http://evil.example"


def base(system: System) -> str:
    return system.env["PREFECT_API_URL"].removesuffix("/api")


@pytest.mark.slow
@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_server_rejects_another_origin(system: System, origin: str) -> None:
    """A preflight, a POST, and a POST without a content type, which needs no preflight."""
    url = base(system)
    headers = {"Origin": origin.format(port=httpx.URL(url).port)}
    preflight = {"Access-Control-Request-Method": "POST"}
    answers = [
        httpx.options(f"{url}/api/variables/", headers={**headers, **preflight}),
        httpx.post(f"{url}/api/variables/", headers=headers, json={"name": "x", "value": "y"}),
        httpx.post(f"{url}/api/variables/", headers=headers, content=b'{"name":"x","value":"y"}'),
        httpx.get(f"{url}/api/variables/name/x", headers=headers),
    ]
    for answer in answers:
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    assert httpx.get(f"{url}/api/variables/name/x").status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("host", ["evil.example:{port}", "127.0.0.1.evil.example", "[::1", ""])
def test_server_rejects_another_host(system: System, host: str) -> None:
    """DNS rebinding: a page's own host name that resolves to 127.0.0.1."""
    url = base(system)
    headers = {"Host": host.format(port=httpx.URL(url).port)}
    assert httpx.post(f"{url}/api/flows/filter", headers=headers, json={}).status_code in (400, 403)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_ui_works_with_each_loopback_name(system: System, name: str) -> None:
    port = httpx.URL(base(system)).port
    origin = f"http://{name}:{port}"
    assert "<html" in httpx.get(origin).text
    requested = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = httpx.options(
        f"{base(system)}/api/flows/filter", headers={"Origin": origin, **requested}
    )
    assert preflight.status_code == 200
    answer = httpx.post(f"{base(system)}/api/flows/filter", headers={"Origin": origin}, json={})
    assert answer.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.slow
def test_server_rejects_a_websocket_of_another_origin(system: System) -> None:
    """Browsers send an Origin with a WebSocket, but no preflight."""
    url = base(system).replace("http", "ws") + "/api/events/out"

    async def first_message(origin: str | None) -> Any:
        kind: Any = origin
        async with connect(url, origin=kind, subprotocols=["prefect"], proxy=None) as socket:  # type: ignore[list-item]
            await socket.send(json.dumps({"type": "auth", "token": None}))
            return json.loads(await asyncio.wait_for(socket.recv(), 30))

    assert asyncio.run(first_message(None)) == {"type": "auth_success"}
    assert asyncio.run(first_message(base(system))) == {"type": "auth_success"}
    with pytest.raises(InvalidStatus):
        asyncio.run(first_message(EVIL))


@pytest.mark.slow
def test_local_services_listen_on_loopback_only(
    system: System, gcs_server: Service, postgres_server: str
) -> None:
    pids = [json.loads(path.read_text())["pid"] for path in (system.folder / "local").glob("*.pid")]
    assert len(pids) == 2
    gcs_process = gcs_server.process()
    assert gcs_process
    port = httpx.URL(postgres_server.replace("postgresql", "http")).port
    postgres = [
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    ]
    assert postgres
    every = [psutil.Process(pid) for pid in [*pids, gcs_process.pid, *postgres] if pid]
    every += [child for process in list(every) for child in process.children(recursive=True)]
    listening = [
        one.laddr
        for process in every
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.slow
def test_only_the_owner_can_read_the_servers_database(system: System) -> None:
    """It contains the secrets of blocks and their encryption key."""
    for path in (system.folder / "home").glob("prefect.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.slow
class TestPortInUse:
    def error_line(self, system: System, port: int, tmp_path: Path) -> str:
        up = system.shell(
            "./local.sh",
            "up",
            PREFECT_SERVER_API_PORT=str(port),
            NYC_TAXI_LOCAL=str(tmp_path / "local"),
            PREFECT_HOME=str(tmp_path / "home"),
        )
        assert up.returncode == 1, up.stdout
        assert up.stderr.count("\n") == 1
        return up.stderr

    @pytest.mark.slow
    def test_up_does_not_change_another_prefect_server(
        self, system: System, tmp_path: Path
    ) -> None:
        with system.client as client:
            before = [pool.model_dump() for pool in client.read_work_pools()]
        port = httpx.URL(base(system)).port
        assert port
        error = self.error_line(system, port, tmp_path)
        assert f"port {port} of server is in use by another program" in error
        assert f"PREFECT_SERVER_API_PORT={port + 1} make up-local" in error
        with system.client as client:
            assert [pool.model_dump() for pool in client.read_work_pools()] == before

    @pytest.mark.slow
    def test_up_reports_another_program(self, system: System, tmp_path: Path) -> None:
        with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
            Thread(target=other.serve_forever, daemon=True).start()
            assert "is in use" in self.error_line(system, other.server_port, tmp_path)
            other.shutdown()

    @pytest.mark.parametrize("port", ["http", "0", "65536"])
    def test_an_invalid_port_is_a_one_line_error(
        self, system: System, tmp_path: Path, port: str
    ) -> None:
        up = system.shell("./local.sh", "up", PREFECT_SERVER_API_PORT=port)
        assert up.returncode == 1
        assert up.stderr == (
            f"error: PREFECT_SERVER_API_PORT={port!r} is not a valid port; use 1 to 65535\n"
        )
