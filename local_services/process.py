"""Background services with a pid file: start, wait until ready, stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

START_TIMEOUT = 120
"""Seconds for a service to become ready."""
CLOCK_TOLERANCE = 5
"""Seconds by which a process may seem to start after its pid file was written."""

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""TLS context for plain HTTP: loading the CA certificates would take longer than a request."""
_children: dict[int, subprocess.Popen[bytes]] = {}
"""Keeps started processes referenced, so that Python does not warn about unreaped children."""


class ServiceStartError(Exception):
    """A service cannot be started; the message includes the fix."""


@dataclass(frozen=True)
class Service:
    """A program that runs in the background until it is stopped."""

    name: str
    folder: Path
    """Folder of its data, log and pid file."""
    command: tuple[str, ...]
    port: int | None
    """Port on 127.0.0.1; None for a program that serves no requests, such as a worker."""
    path: str = "/"
    """URL path that returns HTTP 200 once it is ready."""
    logs: str = ""
    """Text in its log once it is ready, if it has no port."""
    env: Mapping[str, str] = field(default_factory=dict)
    umask: int = -1
    """Umask of the process; -1 inherits it."""
    advice: str = "stop the program that uses it"
    """Fix to suggest if the port is in use."""
    seconds_to_stop: int = 10
    """Seconds between SIGTERM and SIGKILL."""

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
        """Start it in the background and wait until it is ready; a no-op if it is running.

        Raises ServiceStartError, for example if another program uses the port.
        """
        if self.process():
            port = json.loads(self._pid.read_text())["port"]
            if port != self.port:
                raise ServiceStartError(
                    f"{self.name} is already running on port {port}; stop it first"
                )
            return
        if self.port and listens(self.port):
            raise ServiceStartError(
                f"port {self.port} of {self.name} is in use by another program; {self.advice}"
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
                preexec_fn=_restore_sigint,
            )
        _children[process.pid] = process
        record = {"pid": process.pid, "command": self.command, "port": self.port}
        self._pid.write_text(json.dumps(record))
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServiceStartError(f"{self.name} did not start; see {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and wait until it has exited; a no-op if it is not running."""
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
        """Return its process, or None. Ignores a process that reuses the pid."""
        with suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
            record = json.loads(self._pid.read_text())
            process = psutil.Process(record["pid"])
            command, shown = " ".join(record["command"]), " ".join(process.cmdline()).strip()
            # The interpreter of a script comes first; JuiceFS shows a truncated command.
            same = shown.endswith(command) or (shown and command.startswith(shown))
            older = process.create_time() < self._pid.stat().st_mtime + CLOCK_TOLERANCE
            if same and older and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def answers(self) -> bool:
        """Return whether it is ready."""
        if self.port is None:
            return self.logs in self.log.read_text(errors="replace")
        try:
            return self.get(self.path).status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=5, trust_env=False, verify=NO_CERTIFICATES)


def _restore_sigint() -> None:
    """Handle SIGINT, which background jobs of a shell ignore; Prefect's worker needs it to stop."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn an OSError into ServiceStartError."""
    try:
        yield
    except OSError as problem:
        raise ServiceStartError(
            f"cannot write {folder}: {problem.strerror}; make it writable, or use a writable "
            "checkout"
        ) from None


@contextmanager
def running(service: Service) -> Iterator[Service]:
    service.start()
    try:
        yield service
    finally:
        service.stop()


def start_together(services: Iterable[Service]) -> None:
    """Start services that wait for each other. Raises the first ServiceStartError."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(Service.start, services))


def listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port that the system gives to no other program for a minute.

    It is in the state TIME_WAIT, which servers ignore (SO_REUSEADDR).
    """
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        client.connect(server.getsockname())
        server.accept()[0].close()  # the side that closes first is left in TIME_WAIT
        return int(server.getsockname()[1])
