"""Local processes and folders: nothing else is stopped, opened or shared."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local_services import Service
from local_services.postgres import BIN, PostgresServer
from local_services.process import ServiceStartError, free_port, running
from tests.support.processes import ROOT, until


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


def test_a_program_that_shows_its_command_as_a_title_is_stopped(tmp_path: Path) -> None:
    """JuiceFS replaces its arguments with one truncated string."""
    pipe = shlex.quote(str(tmp_path / "pipe"))
    wait = f"mkfifo {pipe}; exec -a 'bash -c mkfifo' bash 0<>{pipe}"
    server = Service("titled", tmp_path, ("bash", "-c", wait), None)
    server.start()
    process = server.process()
    assert process
    assert until(lambda: " ".join(process.cmdline()) == "bash -c mkfifo")
    server.stop()
    assert not process.is_running()


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


def test_free_port_is_given_to_no_other_program() -> None:
    """Else two servers that start together may get one port, and clients of one reach the other."""
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
