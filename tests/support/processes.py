"""Scripts and Python code in separate processes."""

import os
import subprocess
import sys
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
