"""Temporary Prefect server that lives exactly as long as the script that started it."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
from prefect.logging import get_logger
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import (
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
)

from nyc_taxi.errors import LocalWriteError, ServerError

DATABASE_SIZE = 2**23
"""Bytes of a new Prefect database with its write-ahead log."""
_SERVE = """
import os, signal, sys, threading, uvicorn

def end_with_parent():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_parent, daemon=True).start()
uvicorn.run(
    "prefect.server.api.server:create_app",
    factory=True, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", lifespan="on",
)
"""


def check_home() -> None:
    """Raise LocalWriteError unless PREFECT_HOME is writable and has room for the database."""
    home = Path(PREFECT_HOME.value())
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(bytes(DATABASE_SIZE))
    except OSError as problem:
        raise LocalWriteError(
            f"{home} cannot be written ({problem.strerror}); free space or fix its permissions, "
            "or set PREFECT_HOME to another folder"
        ) from problem


class TemporaryServer(SubprocessASGIServer):
    """Temporary Prefect server, registered where Prefect's clients look for one.

    Runs in a separate session, so that Ctrl-C or a signal to the process group does not stop it
    before the client has reported the final state. Ends when this process ends.
    """

    def start(self, timeout: int | None = None) -> None:
        if self.running:
            return
        seconds = timeout or PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        deadline = monotonic() + seconds
        check_home()
        self.running = True
        atexit.register(self.stop)
        with tempfile.TemporaryFile() as log:
            try:
                self._start(log)
                while not self._answers():
                    assert self.server_process
                    if self.server_process.poll() is not None:
                        if b"address already in use" not in _content(log):
                            raise ServerError(f"the temporary Prefect server exited: {_last(log)}")
                        self._start(log)
                    elif monotonic() > deadline:
                        raise ServerError(
                            f"the temporary Prefect server did not start in {seconds} s; raise "
                            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
                        )
                    sleep(0.1)
            except BaseException:
                self.stop()
                raise

    def _start(self, log: Any) -> None:
        self.stop_process()
        self.port = self.find_available_port()
        get_logger().info("Starting temporary server on %s", self.address)
        self.server_process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(self.port)],
            env={
                **os.environ,
                "PREFECT_UI_ENABLED": "0",
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
                **get_current_settings().to_environment_variables(exclude_unset=True),
            },
            stdin=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop_process(self) -> None:
        process, self.server_process = self.server_process, None
        if process:
            assert process.stdin
            process.stdin.close()
            process.terminate()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop(self) -> None:
        self.stop_process()
        self.running = False
        self._instances.pop(None, None)


def _content(log: Any) -> bytes:
    log.seek(0)
    return bytes(log.read())


def _last(log: Any) -> str:
    lines = _content(log).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
