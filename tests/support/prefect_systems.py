"""Prefect servers for deployments, each with a home, a site, a lake and a warehouse of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import duckdb
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from local_services.process import free_port
from synthetic_tlc import Site
from tests.support.prefect_homes import prefect_home

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
LIGHTWEIGHT_SERVER = {
    # SQLite has one writer: a request that meets that of the UI's event feed waits for 2 s.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    # A kind of block is registered when the first of it is saved, not all kinds at the start.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}
"""What the servers of the tests do without."""
NO_SERVICE = "no service: "
"""How the reason of a test begins that is skipped because a service is missing."""


@dataclass
class System:
    """A running server and its surroundings; `env` is what a terminal beside it would have."""

    env: dict[str, str]
    folder: Path
    site: Site

    @property
    def client(self) -> SyncPrefectClient:
        auth = self.env.get("PREFECT_API_AUTH_STRING")
        return SyncPrefectClient(api=self.env["PREFECT_API_URL"], auth_string=auth)

    def shell(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env={**self.env, **env}, capture_output=True, text=True, timeout=240
        )

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.shell(sys.executable, "-m", "prefect", "--no-prompt", *arguments)

    def run(self, deployment: str, **parameters: Any) -> FlowRun:
        """Run a deployment, as the UI does, to its end."""
        with self.client as client:
            found = client.read_deployment_by_name(deployment)
            return self.ended(
                client.create_flow_run_from_deployment(found.id, parameters=parameters).id
            )

    def ended(self, run: UUID | str) -> FlowRun:
        with self.client as client:
            for _ in range(240):
                found = client.read_flow_run(UUID(str(run)))
                if found.state and found.state.is_final():
                    return found
                time.sleep(0.25)
        raise AssertionError(f"{found.name} is still {found.state}")

    def lake(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "lake").rglob("*.parquet"))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(sql).fetchall()


@contextmanager
def place(folder: Path, api: str) -> Iterator[System]:
    """What belongs to a system but its server, which is at `api`."""
    (folder / "site").mkdir()
    prefect_home(folder / "home")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NYC_TAXI_", "PREFECT_"))
    }
    with Site(folder / "site") as site:
        env = kept | {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_PROFILES_PATH": str(folder / "home" / "profiles.toml"),
            "PREFECT_API_URL": api,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "NYC_TAXI_LOCAL": str(folder / "local"),
            "NYC_TAXI_SOURCE_URL": site.url,
            "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
            "NYC_TAXI_WAREHOUSE": f"duckdb:{folder / 'warehouse.duckdb'}",
            "NYC_TAXI_DATA_DIR": str(folder / "data"),
        }
        yield System(env, folder, site)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """What `make up-local` starts: server, process pool, worker and all deployments."""
    port = free_port()
    with place(tmp_path_factory.mktemp("system"), f"http://127.0.0.1:{port}/api") as system:
        system.env.update(LIGHTWEIGHT_SERVER, PREFECT_SERVER_API_PORT=str(port))
        try:
            up = system.shell("./local.sh", "up")
            assert up.returncode == 0, up.stdout + up.stderr
            yield system
        finally:
            down = system.shell("./local.sh", "down")
            logs = (system.folder / "local").glob("*.log")
            assert down.stdout == "stopped\n", down.stderr + "".join(p.read_text() for p in logs)


@pytest.fixture(scope="session")
def bare_system(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The tests' own server with the process pool: no worker, and nothing deployed."""
    with place(tmp_path_factory.mktemp("server"), os.environ["PREFECT_API_URL"]) as system:
        made = system.shell(sys.executable, "blocks/make_process_pool.py")
        assert made.returncode == 0, made.stderr
        yield system


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of Chromium."""
    from playwright.sync_api import sync_playwright  # for the tests that need a Docker engine

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip(f"{NO_SERVICE}no Chromium; apt-get install chromium")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(90_000)
        yield page
        browser.close()
