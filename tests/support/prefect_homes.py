"""Prefect homes with a migrated database, so that a new server starts without migrations."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import prefect
import pytest
from filelock import FileLock

from tests.support.processes import ROOT

CACHE = ROOT / ".pytest_cache"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Migrate while the workers start; otherwise they all wait for the first that needs it."""
    if not hasattr(session.config, "workerinput"):
        ThreadPoolExecutor(1).submit(migrated_database)


def prefect_home(folder: Path, database: str = "prefect.db") -> Path:
    """Create `folder` as PREFECT_HOME of a new server, with an empty database."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(migrated_database(), folder / database)
    (folder / database).chmod(0o600)
    return folder


def migrated_database() -> Path:
    """Return the empty database of this Prefect version, migrated once for all test runs."""
    path = CACHE / f"prefect-{prefect.__version__}.db"
    CACHE.mkdir(exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            with TemporaryDirectory(dir=CACHE) as home:
                migrate = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
                env = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
                env["PREFECT_HOME"] = home
                subprocess.run(migrate, env=env, check=True, capture_output=True)
                Path(home, "prefect.db").replace(path)
    return path
