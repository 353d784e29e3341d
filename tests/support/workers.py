"""Prefect worker in a separate process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def worker(pool: str, env: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Run a process worker of the pool in `folder`; yields its log file."""
    start = ["worker", "start", "--pool", pool, "--type", "process"]
    log = folder / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *start],
            cwd=folder,
            env=env,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
