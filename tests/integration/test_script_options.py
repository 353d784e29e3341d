"""Options of every script: help without side effects, and input checked before a server starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.scripts import created_files, one_line, script

SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in (
        "flows/*.py",
        "flows/*/*/flow.py",
        "blocks/*.py",
        "scripts/**/*.py",
        "docker/*.py",
    )
    for path in ROOT.glob(pattern)
    if '__name__ == "__main__"' in path.read_text()
)
MODULES = [
    f"-m {name}"
    for name in ("nyc_taxi.doctor", "nyc_taxi.environment", "reference.zones.flow", "synthetic_tlc",
                 "local_services", "local_services.postgres")
]  # fmt: skip
REPRESENTATIVES = [
    "flows/etl_web_to_bq.py",
    "flows/docker_deploy.py",
    "flows/reference/zones/flow.py",
    "blocks/make_notification.py",
    "blocks/make_docker_block.py",
    "scripts/docker_deploy.py",
    "scripts/prefect_build/build.py",
    "-m nyc_taxi.doctor",
]


@pytest.mark.few(1)
@pytest.mark.parametrize("path", SCRIPTS + MODULES)
def test_help_has_no_side_effects(path: str, tmp_path: Path) -> None:
    """Although the server is unreachable, and an image and a webhook for blocks are set."""
    done = script(
        path,
        "--help",
        folder=tmp_path,
        PREFECT_API_URL="http://127.0.0.1:9/api",
        NYC_TAXI_IMAGE="image",
        NOTIFICATION_URL="http://127.0.0.1:9",
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 1
    assert done.stderr == ""
    assert created_files(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", REPRESENTATIVES)
def test_unknown_option_has_no_side_effects(path: str, tmp_path: Path) -> None:
    done = script(path, "--no-such-option", "x", folder=tmp_path)
    assert done.returncode in (1, 2)
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert created_files(tmp_path) == []


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("path", "options", "env", "says"),
    [
        ("flows/etl_web_to_bq.py", ["--months", "13"], {}, "13 is not a month"),
        ("flows/etl_web_to_gcs.py", [], {"NYC_TAXI_LAKE": "gs:x"}, "NYC_TAXI_LAKE='gs:x'"),
        ("flows/etl_web_to_bq.py", [], {"NYC_TAXI_WAREHOUSE": "x"}, "NYC_TAXI_WAREHOUSE='x'"),
        (
            "flows/etl_web_to_bq.py",
            ["--method", "dataframe"],
            {},
            "only BigQuery supports --method dataframe",
        ),
        ("flows/load_new_months.py", [], {"NYC_TAXI_WAIT": "long"}, "NYC_TAXI_WAIT='long'"),
        ("flows/reference/zones/flow.py", [], {"NYC_TAXI_LAKE": "x"}, "NYC_TAXI_LAKE='x'"),
        ("flows/reference/zones/flow.py", [], {"NYC_TAXI_SOURCE_URL": "{0}"}, "valid template"),
        ("flows/etl_web_to_local.py", [], {"NYC_TAXI_SOURCE_URL": "htp://x"}, "cannot be fetched"),
    ],
)
def test_script_checks_input_before_a_server_starts(
    path: str, options: list[str], env: dict[str, str], says: str, tmp_path: Path
) -> None:
    done = script(path, *options, folder=tmp_path, cwd=None, **env)
    one_line(done, says)
    assert "Starting" not in done.stderr
    assert created_files(tmp_path) == []


@pytest.mark.slow
def test_zones_script_runs_by_its_path(prefect_server: None, tmp_path: Path) -> None:
    done = script(
        "flows/reference/zones/flow.py",
        folder=tmp_path,
        PREFECT_API_URL=os.environ["PREFECT_API_URL"],
        NYC_TAXI_SOURCE_URL=str(tmp_path / "nothing"),
    )
    one_line(
        subprocess.CompletedProcess([], done.returncode, "", done.stderr.splitlines()[-1]),
        "taxi_zone_lookup.csv",
    )
