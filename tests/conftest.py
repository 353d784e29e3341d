"""What the tests share: real files, a real site, a real Prefect server, and places of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_system import system  # noqa: F401
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from mirror import Site, write_month
from nyc_taxi.months import TripMonth

ROOT = Path(__file__).parents[1]
REAL_FILES = ROOT.parent / "shared" / "tlc"
"""Files of the TLC, beside a checkout where somebody put them."""
NO_SERVICE = "no service: "
"""How the reason of a test begins that is left out for want of one."""


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a lake, a warehouse and a data folder of its own."""
    monkeypatch.setenv("NYC_TAXI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NYC_TAXI_LAKE", f"local:{tmp_path / 'lake'}")
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", f"duckdb:{tmp_path / 'warehouse.duckdb'}")
    monkeypatch.setenv("NYC_TAXI_WAIT", "30")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With NYC_TAXI_TEST_SERVICES=all, a test left out for want of a service is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NYC_TAXI_TEST_SERVICES") != "all" or reporter is None:
        return
    for report in reporter.stats.get("skipped", []):
        if NO_SERVICE in str(report.longrepr):
            reporter.write_line(f"left out, but must run: {report.nodeid}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def real() -> Path:
    if not REAL_FILES.is_dir():
        pytest.skip("the TLC's real files are not beside this checkout")
    return REAL_FILES


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server with a database of its own; scripts that a test starts use it too."""
    with prefect_test_harness(server_startup_timeout=60):
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        yield
        del os.environ["PREFECT_API_URL"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The TLC's site, empty so far; the months in its folder are the flows' source."""
    (tmp_path / "site").mkdir()
    # No certificates to read before every fetch: that took most of the tests' time.
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "site"))
    with Site(tmp_path / "site") as site:
        monkeypatch.setenv("NYC_TAXI_SOURCE_URL", site.url)
        yield site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where downloads go."""
    return tmp_path / "raw"


@pytest.fixture(scope="session")
def month_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Made files of a month, each made once: month_file(trips, rows, format="parquet")."""
    folder = tmp_path_factory.mktemp("months")

    def make(trips: TripMonth, rows: int, format: str = "parquet", seed: int = 0) -> Path:
        place = folder / f"{rows}-{seed}"
        place.mkdir(exist_ok=True)
        path = place / f"{trips.stem}.{format}"
        if not path.exists():
            write_month(place, trips.color, trips.year, trips.month, rows, seed=seed, format=format)
        return path

    return make


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
