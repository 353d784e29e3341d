"""A server in a process of its own, from its first answer to its clean end."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

PATIENCE = 30
"""Seconds for a server to answer, once it is started; one that is told to end has ten."""


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Python complains of a process that it started, forgot and did not see end."""


class CannotStart(Exception):
    pass


@dataclass(frozen=True)
class Server:
    name: str
    folder: Path
    """Its data, its log and the id of its process."""
    command: tuple[str, ...]
    port: int
    path: str = "/"
    """What it answers once it is ready."""
    env: Mapping[str, str] = field(default_factory=dict)

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
        """Start it in the background and wait for its first answer; nothing, if it runs."""
        if self.process():
            return
        if self.answers():
            raise CannotStart(f"port {self.port}, where {self.name} should be, is taken; free it")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _children[process.pid] = process
        self._pid.write_text(str(process.pid))
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"{self.name} does not start; see {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, if it runs; it is gone when this returns."""
        if process := self.process():
            process.terminate()
            try:
                process.wait(10)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(10)
            if child := _children.pop(process.pid, None):
                child.wait()
        self._pid.unlink(missing_ok=True)

    def process(self) -> psutil.Process | None:
        """Its process, and no other that came to have the same number."""
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(self._pid.read_text()))
            if str(self.folder) in " ".join(process.cmdline()):
                return process
        return None

    def answers(self) -> bool:
        try:
            return httpx.get(self.url + self.path, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
