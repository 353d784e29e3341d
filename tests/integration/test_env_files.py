"""The file .env: where it applies, and one line for what is wrong in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.scripts import environment, one_line


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy of the flows, next to which a test may write a `.env`."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def run(
    checkout: Path, home: Path, *command: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with the code of the checkout."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd or checkout,
        env=environment(home, PYTHONPATH=str(checkout / "flows")),
        capture_output=True,
        text=True,
    )


@pytest.mark.few(1)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_script_reports_an_env_file_that_is_not_utf8(
    encoding: str, checkout: Path, tmp_path: Path
) -> None:
    line = "NYC_TAXI_GCS_FOLDER=caf\u00e9\r\n"  # pragma: allowlist secret
    (checkout / ".env").write_bytes(line.encode(encoding))
    for path in ("etl_web_to_local.py", "reference/zones/flow.py", "nyc_taxi/doctor.py"):
        command = (
            ["-m", "nyc_taxi.doctor"] if "doctor" in path else [str(checkout / "flows" / path)]
        )
        done = run(checkout, tmp_path, *command)
        one_line(done, ".env is not valid UTF-8; save it as UTF-8")


@pytest.mark.few(1)
@pytest.mark.parametrize("line", ["export it now", "NYC_TAXI_HASH_KEY='secret"])
def test_script_reports_an_invalid_line_of_an_env_file(
    line: str, checkout: Path, tmp_path: Path
) -> None:
    """Bug: Prefect warned about it 490 times, once per group of settings."""
    (checkout / ".env").write_text(f"# first\n\nNYC_TAXI_WAIT=1\n{line}\n")
    done = run(checkout, tmp_path, str(checkout / "flows" / "etl_web_to_local.py"))
    one_line(done, ".env: line 4 is not NAME=VALUE, or has an unclosed quote")
    assert "secret" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_env_file_applies_in_any_working_directory(
    bom: bytes, checkout: Path, tmp_path: Path
) -> None:
    (checkout / ".env").write_bytes(bom + b"PREFECT_API_URL=http://127.0.0.1:9/of-env/api\n")
    script = str(checkout / "flows" / "etl_web_to_local.py")
    for cwd in (checkout, checkout / "flows", tmp_path):
        done = run(checkout, tmp_path, script, cwd=cwd)
        one_line(done, "http://127.0.0.1:9/of-env/api does not respond")
