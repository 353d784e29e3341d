"""Security of the local system: origins, hosts, callers, listeners, files and processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from local_services import Service
from local_services.postgres import BIN, PostgresServer
from local_services.process import ServiceStartError, free_port, running
from tests.support.docker_scripts import make_env
from tests.support.prefect_homes import prefect_home
from tests.support.prefect_systems import System
from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(900)  # servers start slowly on a busy machine

EVIL = "http://evil.example"
AUTH = "admin:a-string-of-the-tests"


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


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not one of our servers."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["server", "worker"])
@pytest.mark.parametrize(
    "written", ["{pid}", '{{"pid": {pid}, "command": ["x"], "port": 4200}}', ""]
)
def test_down_with_a_stale_pid_file_ends_no_other_process(
    tmp_path: Path, stranger: subprocess.Popen[bytes], name: str, written: str
) -> None:
    """The pid of an ended process may have been reused."""
    (tmp_path / f"{name}.pid").write_text(written.format(pid=stranger.pid))
    down = subprocess.run(
        ["./local.sh", "down"],
        cwd=ROOT,
        env={**os.environ, "NYC_TAXI_LOCAL": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (down.returncode, down.stdout) == (0, "stopped\n"), down.stderr
    assert stranger.poll() is None
    assert not list(tmp_path.glob("*.pid"))


def test_the_same_command_with_another_start_time_is_another_process(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    command = psutil.Process(stranger.pid).cmdline()
    server = Service("x", tmp_path, tuple(command), None)
    pid_file = tmp_path / "x.pid"
    pid_file.write_text(json.dumps({"pid": stranger.pid, "command": command, "port": None}))
    assert server.process()
    hour_ago = time.time() - 3600
    os.utime(pid_file, (hour_ago, hour_ago))
    assert server.process() is None
    server.stop()
    assert stranger.poll() is None


def test_a_server_running_on_another_port_is_reported(tmp_path: Path) -> None:
    bind = ("--bind", "127.0.0.1", "--directory", str(tmp_path))
    first, second = (
        Service("web", tmp_path, (sys.executable, "-m", "http.server", str(port), *bind), port)
        for port in (free_port(), free_port())
    )
    with running(first):
        first.start()  # idempotent
        with pytest.raises(
            ServiceStartError, match=f"web is already running on port {first.port}; stop"
        ):
            second.start()


@pytest.mark.slow
def test_each_checkout_has_its_own_prefect_home(tmp_path: Path) -> None:
    """Checkouts do not share blocks and work pools."""
    code = (
        "from prefect.settings import get_current_settings as s; print(s().home, s().profiles_path)"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    homes = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "prefect.toml").write_text((ROOT / "prefect.toml").read_text())
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        home, profiles = done.stdout.split()
        homes.append((folder / home).resolve())
        assert (folder / profiles).resolve().parent == homes[-1]
    assert homes == [tmp_path / "one" / ".prefect", tmp_path / "two" / ".prefect"]
    ignored = subprocess.run(["git", "check-ignore", ".prefect/prefect.db"], cwd=ROOT)
    assert ignored.returncode == 0


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_local_sh_prints_its_usage(shell: str) -> None:
    done = subprocess.run([shell, "local.sh"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ./local.sh [-h] up|down")


class TestMakeEnv:
    """docker/make_env.py, which `make up` runs."""

    @pytest.fixture(autouse=True)
    def no_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in make_env.GENERATORS:
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"A=1",
            b"A=1\n",
            b"A=1\r\nB=2\r\n",
            b"# POSTGRES_PASSWORD=x\n",
            b"\xef\xbb\xbfA=\xe9",
        ]
        + [b"POSTGRES_PASSWORD=\n", b"MY_POSTGRES_PASSWORD=x\n", b"A=1\n\n\n"],
    )
    def test_missing_secrets_are_added_and_the_rest_is_unchanged(
        self, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / ".env"
        path.write_bytes(content)
        path.chmod(0o644)
        assert make_env.add_secrets(path) == ["POSTGRES_PASSWORD", "PREFECT_AUTH_STRING"]
        after = path.read_bytes()
        assert after.startswith(content)
        assert re.fullmatch(
            rb"\r?\n?POSTGRES_PASSWORD=[0-9a-f]{32}\r?\nPREFECT_AUTH_STRING=admin:[0-9a-f]{32}\r?\n",
            after[len(content) :],
        )
        assert not content or content.endswith(b"\n") or after[len(content) :].startswith(b"\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert make_env.add_secrets(path) == []
        assert path.read_bytes() == after
        assert list(tmp_path.iterdir()) == [path]

    def test_existing_secrets_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / ".env"
        content = b"export POSTGRES_PASSWORD = 'mine'\nPREFECT_AUTH_STRING=admin:mine"
        path.write_bytes(content)
        path.chmod(0o664)
        assert make_env.add_secrets(path) == []
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_missing_file_is_created_and_a_symbolic_link_kept(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "real")
        assert len(make_env.add_secrets(tmp_path / "link")) == 2
        assert (tmp_path / "link").is_symlink()
        assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600

    def test_utf_16_is_rejected(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("A=1\n", encoding="utf-16")
        with pytest.raises(ValueError, match="is not UTF-8 text; save it as UTF-8"):
            make_env.add_secrets(tmp_path / ".env")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="not root")
def test_postgres_as_root_keeps_the_modes_of_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The home keeps mode 700; data and programs are in a folder that the server's user can read.

    Its programs did not find their libraries there.
    """
    opened = Path("/var/tmp") / f"pg-test-{os.getpid()}"
    opened.mkdir()
    opened.chmod(0o755)  # whatever the umask is
    monkeypatch.setattr("local_services.postgres.SHARED_FOLDER", opened)
    monkeypatch.setenv("PGSERVICE", "of-the-user")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    packages = BIN.parents[2]
    (home / "packages").symlink_to(packages)
    monkeypatch.setattr(
        "local_services.postgres.BIN", home / "packages" / BIN.relative_to(packages)
    )
    server = PostgresServer(home / "data" / "postgres", free_port())
    places = [home, tmp_path, *tmp_path.parents]
    before = [path.stat().st_mode for path in places]
    try:
        server.up()
        assert server.psql("SELECT 1").strip() == "1"
        server.down()
        server.up()
        assert server.runs()
        assert [path.stat().st_mode for path in places] == before
        assert (home / "data" / "postgres").resolve().parent == opened
    finally:
        server.down()
        subprocess.run(["rm", "-r", str(opened)], check=True)


@pytest.mark.slow_on("local_services")
@pytest.mark.parametrize("module", ["local_services.postgres", "local_services"])
def test_an_unwritable_folder_is_a_one_line_error(module: str) -> None:
    """/proc is unwritable even for root."""
    program = f"""
import sys
from pathlib import Path
sys.argv = [{module!r}, "up"]
if {module!r} == "local_services":
    import local_services.__main__ as main
    main.FOLDER = Path("/proc/x")
    main.PORTS = {{"gcs": {free_port()}, "bigquery": {free_port()}}}
else:
    import local_services.postgres as main
    sys.argv += ["--folder", "/proc/x/pg", "--port", "{free_port()}"]
main.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write /proc/x"), done.stderr
    assert done.stderr.count("\n") == 1
