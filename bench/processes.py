"""Run commands in separate processes, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local_services.process import listens

ROOT = Path(__file__).resolve().parents[1]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the user's environment, with all output in `folder` and no Prefect server."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_API")}
    return {
        **inherited,
        "NYC_TAXI_DATA_DIR": str(folder),
        "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
        "NYC_TAXI_WAREHOUSE": f"duckdb:{folder / 'warehouse.duckdb'}",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        **more,
    }


def python(*args: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run `python *args` and return its output."""
    done = subprocess.run(
        [sys.executable, *args], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stderr}error: python {' '.join(map(str, args))} failed")
    return done.stdout


def seconds(*args: str | Path, env: Mapping[str, str] | None = None) -> float:
    """Return the seconds that `python *args` takes."""
    began = time.perf_counter()
    python(*args, env=env)
    return time.perf_counter() - began


def make_month(folder: Path, color: str, rows: int) -> Path:
    """Generate the raw file of a synthetic January 2021."""
    python("-m", "synthetic_tlc", "make", folder, f"{color}:2021-01", "--rows", str(rows))
    return folder / "trip-data" / f"{color}_tripdata_2021-01.parquet"


@contextmanager
def serving(*args: str | Path, port: int, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run `python *args` in the background; enter the block once it accepts connections."""
    server = subprocess.Popen([sys.executable, *args], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    try:
        while not listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: python {' '.join(map(str, args))} did not start; see above")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()
