"""The marks that leave cases to `make test-slow`."""

import os
import subprocess
import sys
from pathlib import Path

import conftest
from tests.support import tiers
from tests.support.processes import ROOT

TESTS = """
import pytest

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.slow_on("gcs", "b")
@pytest.mark.parametrize("lake", ["local", "gcs"])
@pytest.mark.parametrize("letter", ["a", "b", "bb"])
def test_slow_on(lake, letter): pass

@pytest.mark.few(2)
@pytest.mark.parametrize("lake", ["local", "gcs"])
@pytest.mark.parametrize("n", range(6))
def test_few(lake, n): pass
"""


def test_marks_keep_representatives_on_every_destination(tmp_path: Path) -> None:
    hook = "pytest_collection_modifyitems"
    assert vars(conftest)[hook] is vars(tiers)[hook]
    (tmp_path / "test_it.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "not slow"]
        + ["-p", "tests.support.tiers", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    names = [line.partition("::")[2] for line in run.stdout.splitlines() if "::" in line]
    assert sorted(names) == [
        *(f"test_few[{n}-{lake}]" for n in (0, 3) for lake in ("gcs", "local")),
        "test_slow_on[a-local]",
        "test_slow_on[bb-local]",
    ], run.stdout + run.stderr
