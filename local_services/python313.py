"""Virtual environment of the BigQuery emulator, which requires Python 3.13."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from local_services.process import ServiceStartError

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-bigquery"
REQUIREMENTS = Path(__file__).with_name("bigquery-requirements.txt")
IMPORT_EXTENSIONS = (
    "import sys, duckdb_extensions as d; [d.import_extension(x) for x in sys.argv[1:]]"
)


class Python313NotFoundError(ServiceStartError):
    def __init__(self) -> None:
        super().__init__(
            "the BigQuery emulator requires Python 3.13, which was not found on PATH, in pyenv or "
            "in uv; install it, for example: .venv/bin/uv python install 3.13"
        )


def environment() -> Path:
    """Return its bin folder; create the environment first if its requirements have changed."""
    with FileLock(f"{ENVIRONMENT}.lock"):  # tests may run in parallel
        installed = ENVIRONMENT / "installed"
        wanted = REQUIREMENTS.read_text()
        if not installed.is_file() or installed.read_text() != wanted:
            python = str(ENVIRONMENT / "bin" / "python")
            uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
            _run(uv, "venv", "--quiet", "--clear", "--python", find_python(), str(ENVIRONMENT))
            _run(uv, "pip", "install", "--quiet", "--python", python, "-r", str(REQUIREMENTS))
            extensions = re.findall(r"^duckdb-extension-(\w+)", wanted, re.MULTILINE)
            _run(python, "-c", IMPORT_EXTENSIONS, *extensions, **home())
            installed.write_text(wanted)
    return ENVIRONMENT / "bin"


def home() -> dict[str, str]:
    """Return the HOME of the emulator: DuckDB stores its extensions there, not in the user's."""
    return {"HOME": str(ENVIRONMENT)}


def find_python() -> str:
    """Return the path of a Python 3.13. Raises Python313NotFoundError."""
    for python in _candidates():
        probe = [python, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 13))"]
        try:
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return python
        except OSError:
            continue
    raise Python313NotFoundError


def _candidates() -> Iterator[str]:
    yield sys.executable
    on_path = shutil.which("python3.13")
    pyenvs = [Path("~/.pyenv").expanduser()]
    if on_path:
        yield on_path
        pyenvs.append(
            Path(on_path).parents[1]
        )  # in case it is the shim of a version that is not selected
    if root := os.environ.get("PYENV_ROOT"):
        pyenvs.append(Path(root))
    for pyenv in pyenvs:
        yield from map(str, pyenv.glob("versions/3.13*/bin/python"))
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        command = [uv, "python", "find", "--managed-python", "--no-python-downloads", "3.13"]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        if found:
            yield found


def _run(*command: str, **env: str) -> None:
    done = subprocess.run(command, env={**os.environ, **env}, check=False)
    if done.returncode:
        raise ServiceStartError(
            f"{' '.join(command[:3])} failed (see above), so the BigQuery emulator is unavailable"
        )
