"""A server in a process of its own, from its first answer to its clean end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

PATIENCE = 120
"""Seconds for a server to be ready, once it is started."""
CLOCK_STEP = 5
"""Seconds by which a process's start may seem to come after what was written later."""


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Python complains of a process that it started, forgot and did not see end."""


class ServiceStartError(Exception):
    pass


@dataclass(frozen=True)
class Service:
    name: str
    folder: Path
    """Its data, its log and the id of its process."""
    command: tuple[str, ...]
    port: int | None
    """On 127.0.0.1; None for a program that answers no requests, such as a worker."""
    path: str = "/"
    """What it answers once it is ready."""
    logs: str = ""
    """What its log says once it is ready, where there is no port."""
    env: Mapping[str, str] = field(default_factory=dict)
    umask: int = -1
    """Of its files; -1 is that of who starts it."""
    advice: str = "stop the program that has it"
    """What to do where its port is taken."""
    seconds_to_stop: int = 10
    """From SIGTERM to SIGKILL."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _pid(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def start(self) -> None:
        """Start it in the background and wait until it is ready; nothing, if it runs.

        Raises ServiceStartError, also where its port is taken by a program that is not this server.
        """
        if self.process():
            port = json.loads(self._pid.read_text())["port"]
            if port != self.port:
                raise ServiceStartError(f"{self.name} runs on port {port} already; stop it first")
            return
        if self.port and listens(self.port):
            raise ServiceStartError(
                f"port {self.port}, which {self.name} needs, is taken by a program that was not "
                f"started here; {self.advice}"
            )
        with writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            log = self.log.open("wb")
        with log:
            process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=self.umask,
                preexec_fn=_heed_sigint,
            )
        _children[process.pid] = process
        facts = {"pid": process.pid, "command": self.command, "port": self.port}
        self._pid.write_text(json.dumps(facts))
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServiceStartError(f"{self.name} does not start; see {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, if it runs; it is gone when this returns."""
        if process := self.process():
            process.terminate()
            try:
                process.wait(self.seconds_to_stop)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(10)
            if child := _children.pop(process.pid, None):
                child.wait()
        self._pid.unlink(missing_ok=True)

    def process(self) -> psutil.Process | None:
        """Its process, and not another that came to have the same number."""
        with suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
            held = json.loads(self._pid.read_text())
            process = psutil.Process(held["pid"])
            same = process.cmdline()[-len(held["command"]) :] == held["command"]
            older = process.create_time() < self._pid.stat().st_mtime + CLOCK_STEP
            if same and older and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def answers(self) -> bool:
        if self.port is None:
            return self.logs in self.log.read_text(errors="replace")
        try:
            return httpx.get(self.url + self.path, timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


def _heed_sigint() -> None:
    """A shell's background jobs ignore SIGINT; Prefect's worker sends it to itself to stop."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """One line where the folder cannot be made or written to."""
    try:
        yield
    except OSError as problem:
        raise ServiceStartError(
            f"{folder} cannot be written: {problem.strerror}; make it writable, or work in a "
            "checkout that is"
        ) from None


@contextmanager
def running(server: Service) -> Iterator[Service]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def listens(port: int) -> bool:
    with socket.socket() as knock:
        knock.settimeout(5)
        return knock.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
