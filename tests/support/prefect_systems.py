"""Prefect servers for deployment tests, each with its own home, site, lake and warehouse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import certifi
import duckdb
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.context import _temporary_global_settings_context, get_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)
from prefect.utilities.asyncutils import run_coro_as_sync

from local_services.process import Service, free_port
from synthetic_tlc import Site
from tests.support.prefect_homes import prefect_home
from tests.support.services import NO_SERVICE

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
LIGHTWEIGHT_SERVER = {
    # SQLite allows one writer: requests wait up to 2 s for the writes of the UI's event feed.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    # Register a block type when its first block is saved, instead of all types at startup.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}
"""Prefect settings that make the tests' servers start faster."""
NOT_USED = ("FOREMAN", "LATE_RUNS", "PAUSE_EXPIRATIONS", "SCHEDULER", "TRIGGERS")
"""Services of a Prefect server for schedules, automations and idle workers."""


def prefect_service(folder: Path) -> Service:
    """Prefect server without its UI, and with an empty database in `folder`."""
    port = free_port()
    program = ("uvicorn", "--factory", "prefect.server.api.server:create_app")
    return Service(
        "prefect",
        prefect_home(folder),
        (sys.executable, "-m", *program, "--port", str(port), "--log-level", "error"),
        port,
        path="/api/health",
        env={
            "PREFECT_HOME": str(folder),
            "PREFECT_UI_ENABLED": "0",
            "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "0",  # prefect_home did
            **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "0" for name in NOT_USED},
        },
    )


@contextmanager
def use_prefect_server(server: Service) -> Iterator[str]:
    """Send this process's flow runs to the server, in all threads; yields the URL of its API.

    As prefect_test_harness, which imports all of the server: 1.7 s for every worker of the tests.
    """
    url = f"{server.url}/api"
    database = f"sqlite+aiosqlite:///{server.folder}/prefect.db"
    settings = {
        PREFECT_API_URL: url,
        PREFECT_API_SSL_CERT_FILE: str(one_certificate(server.folder)),
        PREFECT_SERVER_DATABASE_CONNECTION_URL: database,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # its thread delays the end of a run by up to 1 s
    }
    with temporary_settings(settings):
        with _temporary_global_settings_context(get_settings_context()):
            yield url

        async def send_the_rest() -> None:
            for sent in (APILogWorker.instance().drain(), EventsWorker.drain_all()):
                if isawaitable(sent):
                    await sent

        run_coro_as_sync(send_the_rest())


def one_certificate(folder: Path) -> Path:
    """Write a file with one CA certificate.

    Prefect's client reads all certificates for each use, of a server without TLS too: 14 ms.
    """
    path, end = folder / "ca.pem", "-----END CERTIFICATE-----\n"
    path.write_text(certifi.contents().partition(end)[0] + end)
    return path


@dataclass
class System:
    """A running server with its site, lake and warehouse; `env` is a terminal's environment."""

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
        """Run a deployment, as the UI does, and wait until it ends."""
        with self.client as client:
            found = client.read_deployment_by_name(deployment)
            return self.wait_until_final(
                client.create_flow_run_from_deployment(found.id, parameters=parameters).id
            )

    def start(self, entrypoint: str, work_pool: str, **parameters: Any) -> FlowRun:
        """Create a run of a flow in a work pool; it uses the checkout in place."""
        _, name = entrypoint.split(":")
        with self.client as client:
            deployment = client.create_deployment(
                client.create_flow_from_name(name.replace("_", "-")),
                f"on-{work_pool}",
                entrypoint=entrypoint,
                pull_steps=[
                    {"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}
                ],
                work_pool_name=work_pool,
            )
            return client.create_flow_run_from_deployment(deployment, parameters=parameters)

    def wait_until_final(self, run: UUID | str, seconds: float = 60) -> FlowRun:
        with self.client as client:
            for _ in range(int(seconds * 4)):
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
def surroundings(folder: Path, api: str) -> Iterator[System]:
    """Create the site, folders and environment of a system whose server is at `api`."""
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
    """The system of `make up-local`: server, process pool, worker and all deployments."""
    port = free_port()
    with surroundings(tmp_path_factory.mktemp("system"), f"http://127.0.0.1:{port}/api") as system:
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
    """The shared test server with the process pool, but without workers and deployments."""
    with surroundings(tmp_path_factory.mktemp("server"), os.environ["PREFECT_API_URL"]) as system:
        pool = system.shell(sys.executable, "blocks/make_process_pool.py")
        assert pool.returncode == 0, pool.stderr
        yield system


@pytest.fixture
def page() -> Iterator[Page]:
    """Browser page in Chromium."""
    from playwright.sync_api import sync_playwright  # imported lazily: only some tests need it

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
