"""Sources of a script's settings: environment, .env.<name>, .env and AWS's parameter store."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from docker.utils import exclude_paths

from local_services.process import free_port
from nyc_taxi.environment import load_environment
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import settings
from tests.support.aws import moto_server
from tests.support.processes import ROOT

SECRET = "SecureString"
KEY = "/DataFlows/dev/PREFECT_API_KEY"
STORED_KEY = "ssm:/DataFlows/{environment}/PREFECT_API_KEY"
NAMES = ("PREFECT_API_URL", "PREFECT_API_KEY", "NOTIFICATION_URL", "NYC_TAXI_ENV")


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore os.environ after the test, which starts without AWS settings."""
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith("AWS_") or n in NAMES]:
        del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("nyc_taxi.environment.ROOT", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    with moto_server() as env:
        yield env


@pytest.fixture
def store(aws: dict[str, str]) -> Any:
    """An empty parameter store; the environment has credentials for it."""
    os.environ |= aws
    client = boto3.Session().client("ssm")
    for page in client.get_paginator("describe_parameters").paginate():
        for found in page["Parameters"]:
            client.delete_parameter(Name=found["Name"])
    return client


def test_the_environment_precedes_the_named_file_and_env(root: Path) -> None:
    (root / ".env").write_text("A_ONE=common\nA_TWO=common\nA_THREE=common\n")
    (root / ".env.dev").write_text("A_ONE=dev\nA_TWO=dev\n")
    os.environ["A_ONE"] = "given"
    load_environment("dev")
    assert [os.environ[name] for name in ("A_ONE", "A_TWO", "A_THREE")] == [
        "given",
        "dev",
        "common",
    ]
    assert os.environ["NYC_TAXI_ENV"] == "dev"


def test_without_a_name_only_env_is_read(root: Path) -> None:
    (root / ".env").write_text("A_TWO=common\n")
    (root / ".env.dev").write_text("A_TWO=dev\n")
    load_environment()
    assert os.environ["A_TWO"] == "common"
    assert "NYC_TAXI_ENV" not in os.environ


def test_child_processes_have_the_same_environment(root: Path) -> None:
    (root / ".env.dev").write_text("A_TWO=dev\n")
    os.environ["NYC_TAXI_ENV"] = "dev"
    load_environment()
    assert os.environ["A_TWO"] == "dev"


def test_missing_files_change_nothing(root: Path) -> None:
    before = dict(os.environ)
    load_environment()
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("NYC_TAXI_WAREHOSE=postgres:x", "no setting NYC_TAXI_WAREHOSE; did you mean .*_WAREHOUSE"),
        ("$env:NYC_TAXI_LAKE='gcs:x'", "line 2 is not NAME=VALUE"),
        ("\u200bNYC_TAXI_LAKE=gcs:x", "line 2 is not NAME=VALUE"),
    ],
)
def test_misspelled_setting_is_rejected(root: Path, line: str, says: str) -> None:
    """It had no effect, so that months were loaded into the default lake and warehouse."""
    (root / ".env").write_text(f"OTHER:x=1\n{line}\n", "utf-8")
    with pytest.raises(InvalidInputError, match=says):
        load_environment()


def test_settings_are_read_after_a_byte_order_mark(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's run reads them without load_environment."""
    monkeypatch.setenv("NYC_TAXI_ROOT", str(root))
    line = "NYC_TAXI_GCS_FOLDER=trips\n"  # pragma: allowlist secret
    (root / ".env").write_text(line, "utf-8-sig")
    assert settings().gcs_folder == "trips"


@pytest.mark.parametrize("given", [None, ""])
def test_empty_means_not_set(root: Path, given: str | None) -> None:
    (root / ".env").write_text("PREFECT_API_URL=\nPREFECT_API_KEY\nA_TWO=common\n")
    (root / ".env.dev").write_text("A_TWO=\n")
    if given is not None:
        os.environ |= dict.fromkeys(("PREFECT_API_URL", "PREFECT_API_KEY", "AWS_PROFILE"), given)
    load_environment("dev")
    assert not {"PREFECT_API_URL", "PREFECT_API_KEY", "AWS_PROFILE"} & set(os.environ)
    assert os.environ["A_TWO"] == "common"


def test_an_environment_without_a_file_is_reported(root: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"no file \.env\.prod; copy \.env\.example to \.env\.prod"
    ):
        load_environment("prod")
    os.environ["PREFECT_API_URL"] = "http://elsewhere:4200/api"  # as in CI
    load_environment("prod")
    assert os.environ["NYC_TAXI_ENV"] == "prod"


@pytest.mark.parametrize("name", ["../prod", "Prod", "a b", "."])
def test_an_invalid_environment_name_is_reported(root: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a valid environment name; use a-z"):
        load_environment(name)


def test_a_binary_file_is_reported(root: Path) -> None:
    (root / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(InvalidInputError, match=r"\.env is not valid UTF-8; save it as UTF-8"):
        load_environment()


def test_only_marked_values_are_fetched_from_the_parameter_store(root: Path, store: Any) -> None:
    count = 23
    for number in range(count):
        store.put_parameter(
            Name=f"/DataFlows/dev/{number}", Value=f"v{number}", Type="SecureString"
        )
    lines = [f"A_{number}=ssm:/DataFlows/{{environment}}/{number}\n" for number in range(count)]
    (root / ".env").write_text("".join(lines) + "B_ONE=/DataFlows/dev/1\nB_TWO=ssm:else\n")
    (root / ".env.dev").write_text("PREFECT_API_KEY=ssm:/DataFlows/{environment}/7\n")
    os.environ["PREFECT_API_AUTH_STRING"] = "ssm:/DataFlows/dev/8"
    os.environ["UNRELATED"] = "ssm:/DataFlows/dev/8"
    load_environment("dev")
    assert [os.environ[f"A_{number}"] for number in range(count)] == [
        f"v{number}" for number in range(count)
    ]
    assert os.environ["PREFECT_API_KEY"] == "v7"
    assert os.environ.pop("PREFECT_API_AUTH_STRING") == "v8"
    assert os.environ["B_ONE"] == "/DataFlows/dev/1"
    assert os.environ["B_TWO"] == "ssm:else"
    assert os.environ["UNRELATED"] == "ssm:/DataFlows/dev/8"


def test_aws_is_not_contacted_without_stored_values(root: Path) -> None:
    (root / ".env").write_text("A_ONE=1\nAWS_PROFILE=not-there\n")
    load_environment()
    assert os.environ["A_ONE"] == "1"


class TestParameterStoreErrors:
    @pytest.fixture(autouse=True)
    def env_file(self, root: Path) -> None:
        (root / ".env.dev").write_text(
            "PREFECT_API_KEY=ssm:/DataFlows/{environment}/PREFECT_API_KEY"
        )

    def test_a_missing_parameter_is_reported(self, store: Any) -> None:
        message = rf"has no {KEY} in this .*put-parameter --type SecureString --name {KEY}"
        with pytest.raises(InvalidInputError, match=message):
            load_environment("dev")

    def test_a_missing_environment_name_is_reported(self, root: Path, store: Any) -> None:
        (root / ".env").write_text((root / ".env.dev").read_text())
        with pytest.raises(
            InvalidInputError, match=r"=ssm:.* needs an environment; set NYC_TAXI_ENV"
        ):
            load_environment()

    def test_missing_credentials_are_reported(self, store: Any) -> None:
        del os.environ["AWS_ACCESS_KEY_ID"]
        with pytest.raises(
            InvalidInputError, match=f"{KEY} cannot.* no AWS credentials were found; set AWS_PR"
        ):
            load_environment("dev")

    def test_a_missing_region_is_reported(self, store: Any) -> None:
        del os.environ["AWS_DEFAULT_REGION"]
        with pytest.raises(InvalidInputError, match="no AWS region is set; set AWS_DEFAULT_REGION"):
            load_environment("dev")

    def test_an_unknown_profile_is_reported(self, store: Any) -> None:
        os.environ["AWS_PROFILE"] = "unknown"
        with pytest.raises(
            InvalidInputError, match="profile unknown does not exist; correct AWS_PROFILE"
        ):
            load_environment("dev")

    @pytest.mark.slow
    def test_an_unreachable_endpoint_is_a_one_line_error(self, store: Any) -> None:
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(InvalidInputError, match="Could not connect to the endpoint") as refused:
            load_environment("dev")
        assert "\n" not in str(refused.value)


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


FROM_FILE = """
from pathlib import Path
from nyc_taxi import environment
environment.ROOT = Path({root!r})
"""


def test_load_environment_does_not_import_prefect(root: Path) -> None:
    done = python(
        "import sys; from nyc_taxi.environment import load_environment; load_environment();"
        "print([m for m in ('prefect', 'boto3') if m in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_load_environment_refreshes_prefects_settings(root: Path) -> None:
    (root / ".env.dev").write_text("PREFECT_API_URL=http://elsewhere:4200/api\n")
    done = python(
        "from prefect.settings import PREFECT_API_URL\n"
        + FROM_FILE.format(root=str(root))
        + "environment.load_environment('dev'); print(PREFECT_API_URL.value())"
    )
    assert done.stdout == "http://elsewhere:4200/api\n", done.stderr


class TestRunCommand:
    """python -m nyc_taxi.environment"""

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nyc_taxi.environment", *command],
            env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_the_command_has_the_environments_values(self, store: Any) -> None:
        store.put_parameter(Name=KEY, Value="the key", Type=SECRET)
        command = "import os; print(os.environ['PREFECT_API_KEY'], os.environ['NYC_TAXI_ENV'])"
        done = self.run(
            "dev",
            *(sys.executable, "-c", command),
            PREFECT_API_URL="http://elsewhere:4200/api",
            PREFECT_API_KEY=STORED_KEY,
        )
        assert (done.stdout, done.stderr) == ("the key dev\n", "")

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            (["dev"], "give an environment and a command: python -m nyc_taxi.environment"),
            (["no-such", "true"], "the environment no-such has no file .env.no-such; copy"),
            (["Dev", "true"], "is not a valid environment name"),
        ],
    )
    def test_an_invalid_command_is_a_one_line_error(self, command: list[str], message: str) -> None:
        done = self.run(*command)
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


FILES = (".env", ".env.dev", ".env.prod", ".env.example")


def test_env_files_are_ignored_by_git(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for name in FILES:
        (tmp_path / name).touch()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(listed.stdout.split()) == {".gitignore", ".env.example"}


def test_env_files_are_not_in_the_image(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "flows"):
        folder.mkdir(exist_ok=True)
        for name in FILES:
            (folder / name).touch()
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    kept = exclude_paths(str(tmp_path), [p for p in patterns if p and not p.startswith("#")])
    assert kept == {"flows", ".env.example"}


def test_env_example_describes_each_variable_of_the_scripts() -> None:
    scripts = [path for folder in ("blocks", "scripts") for path in (ROOT / folder).rglob("*.py")]
    read = set()
    for path in [*scripts, ROOT / "flows" / "nyc_taxi" / "orchestration" / "work_pools.py"]:
        names = (
            r'"((?:NYC_TAXI|PREFECT_API|(?:CLOUD|DOCKER)_PREFECT|REGISTRY|AWS)_[A-Z0-9_]+[A-Z0-9])"'
        )
        read |= set(re.findall(names, path.read_text()))
    example = (ROOT / ".env.example").read_text()
    explained = set(re.findall(r"(?:^#|\bor )([A-Z]\w+)", example, re.MULTILINE))
    assert {"NYC_TAXI_IMAGE", "NYC_TAXI_ECS_CLUSTER", "DOCKER_PREFECT_API_URL"} <= read
    assert read - explained == set()
