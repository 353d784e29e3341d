"""Commands as a user would start them, in processes of their own.

This process imports nothing large: what one has in memory when it starts another counts as the
other's peak.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The user's own, but with all that is written in `folder`, and no Prefect server of theirs."""
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
    """What `python *args` printed."""
    done = subprocess.run(
        [sys.executable, *args], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stderr}error: python {' '.join(map(str, args))} failed")
    return done.stdout


def seconds(*args: str | Path, env: Mapping[str, str] | None = None) -> float:
    """How long `python *args` took, from its start to its end."""
    began = time.perf_counter()
    python(*args, env=env)
    return time.perf_counter() - began


def make_month(folder: Path, color: str, rows: int) -> Path:
    """The raw file of an invented January of 2021."""
    python("-m", "synthetic_tlc", "make", folder, f"{color}:2021-01", "--rows", str(rows))
    return folder / "trip-data" / f"{color}_tripdata_2021-01.parquet"


@contextmanager
def serving(*args: str | Path, port: int, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """`python *args` in the background, from when it takes connections to the block's end."""
    server = subprocess.Popen([sys.executable, *args], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    try:
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: python {' '.join(map(str, args))} does not serve; see above")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0
