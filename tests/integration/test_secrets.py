"""Secrets in every setting appear nowhere: not in output, runs, logs, templates or files."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from prefect.settings import get_current_settings

from local_services.process import free_port
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

USER, PASSWORD, QUERY = "sourceuserq7x", "sourcepasswordq7x", "sourcesignatureq7x"
DATABASE = "databasepasswordq7x"
HASH = "hashkeyq7x"
WEBHOOK = "webhooktokenq7x"
KEY_ID = "googlekeyidq7x"
AUTH = "authstringq7x"


def google_key() -> dict[str, str]:
    """Well-formed service account key that does not exist at Google."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return {
        "type": "service_account",
        "project_id": "nyc-taxi",
        "private_key_id": KEY_ID,
        "private_key": pem,
        "client_email": "flows@nyc-taxi.iam.gserviceaccount.com",
        "token_uri": f"http://127.0.0.1:{free_port()}/token",
    }


KEY = google_key()
MARKERS = {
    "the user of the source URL": USER,
    "the password of the source URL": PASSWORD,
    "the query of the source URL": QUERY,
    "the password of POSTGRES_URL": DATABASE,
    "the hash key": HASH,
    "the webhook": WEBHOOK,
    "the id of the GCP key": KEY_ID,
    "the GCP key": KEY["private_key"].splitlines()[3],
    "the auth string": AUTH,
}
FLOW = "flows/etl_web_to_bq.py --color yellow --month"
UNREACHABLE = f"http://{USER}:{PASSWORD}@127.0.0.1:9/trip-data?sig={QUERY}"
POSTGRES = {"NYC_TAXI_WAREHOUSE": "postgres:postgres-connector"}
GOOGLE = {
    "NYC_TAXI_GCP_CREDENTIALS": json.dumps(KEY),
    "NYC_TAXI_GCP_PROJECT": "nyc-taxi",
    "NYC_TAXI_GCS_BUCKET": "no-such-bucket",
}
COMMANDS: dict[str, tuple[str, int, dict[str, str]]] = {
    "a published month": (f"{FLOW} 1", 0, {}),
    "a missing month": (f"{FLOW} 2", 1, {}),
    "an unreachable source": (f"{FLOW} 1", 1, {"NYC_TAXI_SOURCE_URL": UNREACHABLE}),
    "an unreachable source template": (
        f"{FLOW} 1",
        1,
        {
            "NYC_TAXI_SOURCE_URL": UNREACHABLE.replace(
                "trip-data", "{color}_{year}-{month:02}.parquet"
            )
        },
    ),
    "PostgreSQL is down": (f"{FLOW} 1", 1, POSTGRES),
    "PostgreSQL is down for the course's flow": ("flows/ingest_data_flow.py --months 1", 1, {}),
    "the doctor": ("-m nyc_taxi.doctor", 1, POSTGRES),
    "the doctor without a source": ("-m nyc_taxi.doctor", 1, {"NYC_TAXI_SOURCE_URL": UNREACHABLE}),
    "an unreadable database URL": (
        "-m nyc_taxi.doctor",
        1,
        POSTGRES | {"POSTGRES_URL": f"postgresql://me:{DATABASE}@[:x/y"},
    ),
    "Google's blocks": ("blocks/make_gcp_blocks.py", 0, GOOGLE),
    "a broken Google key": (
        "blocks/make_gcp_blocks.py",
        1,
        GOOGLE | {"NYC_TAXI_GCP_CREDENTIALS": json.dumps(KEY)[:-60]},
    ),
    "the docker pool": ("blocks/make_docker_block.py", 0, {}),
    "the process pool": ("blocks/make_process_pool.py", 0, {}),
    "the database's block": ("blocks/make_postgres_block.py", 0, {}),
    "a dead webhook": ("blocks/make_notification.py --test", 1, {}),
    "a webhook": ("blocks/make_notification.py", 0, {}),
}
COMMANDS_WITH_BLOCKS = {
    "Google's bucket with a key that is refused": (
        f"{FLOW} 1",
        1,
        {"NYC_TAXI_LAKE": "gcs:zoom-gcs"},
    ),
    "PostgreSQL's block is down": (f"{FLOW} 1", 1, POSTGRES),
}
"""Commands that need the blocks created by COMMANDS."""


QUICK = {
    "a published month",
    "an unreachable source",
    "Google's blocks",
    "the docker pool",
}
"""One command of each kind; the others are slow."""
EACH_COMMAND = pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in (*COMMANDS, *COMMANDS_WITH_BLOCKS)
    ],
)


@dataclass
class Result:
    code: int
    output: str


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture(scope="module")
def results(
    prefect_server: None,
    home: Path,
    month_file: Callable[..., Path],
    request: pytest.FixtureRequest,
) -> Iterator[dict[str, Result]]:
    """Run every selected command as a user would, with all secrets set."""
    wanted = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path
        and isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
    } or {*COMMANDS, *COMMANDS_WITH_BLOCKS}
    site_folder = home / "site"
    site_folder.mkdir()
    shutil.copy(month_file(TripMonth("yellow", 2021, 1), 2000), site_folder)
    with Site(site_folder) as site:
        address = site.url.removeprefix("http://")
        env = os.environ | {
            "PREFECT_HOME": str(home / "prefect"),
            "NYC_TAXI_ROOT": str(home),
            "NYC_TAXI_DATA_DIR": str(home / "data"),
            "NYC_TAXI_LAKE": f"local:{home / 'lake'}",
            "NYC_TAXI_WAREHOUSE": f"duckdb:{home / 'warehouse.duckdb'}",
            "NYC_TAXI_SOURCE_URL": f"http://{USER}:{PASSWORD}@{address}?sig={QUERY}",
            "NYC_TAXI_HASH_KEY": HASH,
            "NYC_TAXI_WAIT": "1",
            "POSTGRES_URL": f"postgresql://root:{DATABASE}@127.0.0.1:{free_port()}/ny_taxi",
            "NOTIFICATION_URL": f"http://127.0.0.1:{free_port()}/services/{WEBHOOK}",
            "PREFECT_API_AUTH_STRING": f"admin:{AUTH}",
            "PYTHONPATH": str(ROOT / "flows"),
        }

        def run(item: tuple[str, tuple[str, int, dict[str, str]]]) -> tuple[str, Result]:
            name, (command, _, own) = item
            done = subprocess.run(
                [sys.executable, *command.split()],
                cwd=ROOT,
                env={**env, **own},
                capture_output=True,
                text=True,
                timeout=300,
            )
            return name, Result(done.returncode, done.stdout + done.stderr)

        with ThreadPoolExecutor(3) as pool:
            found: dict[str, Result] = {}
            for commands in (COMMANDS, COMMANDS_WITH_BLOCKS):
                found |= dict(pool.map(run, [c for c in commands.items() if c[0] in wanted]))
        yield found


def planted(text: str) -> list[str]:
    return [name for name, marker in MARKERS.items() if marker in text]


@EACH_COMMAND
def test_output_contains_no_secret(results: dict[str, Result], name: str) -> None:
    assert planted(results[name].output) == [], results[name].output


@EACH_COMMAND
def test_command_exits_with_the_expected_code(results: dict[str, Result], name: str) -> None:
    """Ensures that each command got far enough to print a secret."""
    assert results[name].code == (COMMANDS | COMMANDS_WITH_BLOCKS)[name][1], results[name].output


def test_server_database_contains_no_plain_secret(results: dict[str, Result]) -> None:
    """In runs, logs, artifacts, work pools and variables; secrets in blocks are encrypted."""
    url = get_current_settings().server.database.connection_url
    assert url
    path = url.get_secret_value().partition("///")[2].partition("?")[0]
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        lines = list(database.iterdump())
    tables = {line.split('"')[1] for line in lines if line.startswith("INSERT INTO")}
    assert {
        "flow_run_state",
        "task_run",
        "log",
        "artifact",
        "work_pool",
        "block_document",
    } <= tables
    found = [(line.split('"')[1], planted(line), line[:2000]) for line in lines if planted(line)]
    assert not found


def test_files_contain_no_secret(results: dict[str, Result], home: Path) -> None:
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"lake", "data", "prefect"} <= {path.relative_to(home).parts[0] for path in files}
    found = {
        (str(path.relative_to(home)), name)
        for path in files
        for name, marker in MARKERS.items()
        if marker.encode() in path.read_bytes()
    }
    assert not found
