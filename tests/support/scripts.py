"""Scripts as a user runs them, and what they may leave and print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT


def environment(folder: Path, **env: str) -> dict[str, str]:
    """Environment of a user who has set only `env`; home, data and stores are in `folder`."""
    ours = ("NYC_TAXI_", "PREFECT_", "POSTGRES_", "AWS_", "NOTIFICATION_")
    proxies = {n for n in os.environ if n.lower().endswith("_proxy")}
    kept = {n: v for n, v in os.environ.items() if not n.startswith(ours) and n not in proxies}
    return kept | {
        "HOME": str(folder),
        "NYC_TAXI_DATA_DIR": str(folder / "data"),
        "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
        "NYC_TAXI_WAREHOUSE": f"duckdb:{folder / 'warehouse.duckdb'}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'flows'}",
        **env,
    }


def script(
    path: str, *options: str, folder: Path, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    command = path.split(" ") if path.startswith("-m") else [str(ROOT / path)]
    return subprocess.run(
        [sys.executable, *command, *options],
        cwd=cwd or folder,
        env=environment(folder, **env),
        capture_output=True,
        text=True,
        timeout=120,
    )


def created_files(folder: Path) -> list[Path]:
    """Return what a script created, except for Prefect's home, which importing it creates."""
    return [path for path in folder.rglob("*") if path.name != ".prefect"]


def one_line(done: subprocess.CompletedProcess[str], *says: str) -> None:
    """Assert that a script failed with one line that contains these words."""
    assert done.returncode in (1, 2), done.stderr
    lines = [line for line in done.stderr.splitlines() if "Starting temporary server" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert [word for word in says if word not in lines[0]] == [], lines[0]
