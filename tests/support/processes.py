"""Scripts and Python code in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""


def start(*command: str, cwd: Path = ROOT, **env: str) -> subprocess.Popen[str]:
    """A script or a piece of Python in a process of its own, to be killed or waited for."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
