"""Scripts and Python code in separate processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Root of the checkout."""


def start(*command: str, cwd: Path = ROOT, **env: str) -> subprocess.Popen[str]:
    """Start a script, or Python code with `-c`; the caller waits for the process or kills it."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Read lines up to `ready`, which the output of a JVM may precede."""
    assert process.stdout
    assert "ready\n" in iter(process.stdout.readline, "")


def until(point: Callable[[], bool], seconds: float = 90) -> bool:
    """Wait for a condition; return whether it is true."""
    deadline = time.monotonic() + seconds
    while not point() and time.monotonic() < deadline:
        time.sleep(0.1)
    return point()
