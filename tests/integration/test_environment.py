"""Where a script's values come from: the environment, .env.<name>, .env, AWS's parameter store."""

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
from tests.support.aws import moto_server
from tests.support.processes import ROOT

SECRET = "SecureString"
KEY = "/DataFlows/dev/PREFECT_API_KEY"
STORED_KEY = "ssm:/DataFlows/{environment}/PREFECT_API_KEY"
NAMES = ("PREFECT_API_URL", "PREFECT_API_KEY", "NOTIFICATION_URL", "NYC_TAXI_ENV")


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """os.environ, as it was before; nothing of AWS's but what a test says."""
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
    """An empty parameter store, and credentials for it."""
    os.environ |= aws
    client = boto3.Session().client("ssm")
    for page in client.get_paginator("describe_parameters").paginate():
        for found in page["Parameters"]:
            client.delete_parameter(Name=found["Name"])
    return client


def test_the_environment_then_its_own_file_then_env(root: Path) -> None:
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


def test_without_a_name_only_env_counts(root: Path) -> None:
    (root / ".env").write_text("A_TWO=common\n")
    (root / ".env.dev").write_text("A_TWO=dev\n")
    load_environment()
    assert os.environ["A_TWO"] == "common"
    assert "NYC_TAXI_ENV" not in os.environ


def test_a_process_started_from_one_of_an_environment_has_the_same(root: Path) -> None:
    (root / ".env.dev").write_text("A_TWO=dev\n")
    os.environ["NYC_TAXI_ENV"] = "dev"
    load_environment()
    assert os.environ["A_TWO"] == "dev"


def test_without_files_nothing_changes(root: Path) -> None:
    before = dict(os.environ)
    load_environment()
    assert dict(os.environ) == before


@pytest.mark.parametrize("given", [None, ""])
def test_empty_means_not_set(root: Path, given: str | None) -> None:
    (root / ".env").write_text("PREFECT_API_URL=\nPREFECT_API_KEY\nA_TWO=common\n")
    (root / ".env.dev").write_text("A_TWO=\n")
    if given is not None:
        os.environ |= dict.fromkeys(("PREFECT_API_URL", "PREFECT_API_KEY", "AWS_PROFILE"), given)
    load_environment("dev")
    assert not {"PREFECT_API_URL", "PREFECT_API_KEY", "AWS_PROFILE"} & set(os.environ)
    assert os.environ["A_TWO"] == "common"


def test_an_environment_without_a_file(root: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"no file \.env\.prod; copy \.env\.example to \.env\.prod"
    ):
        load_environment("prod")
    os.environ["PREFECT_API_URL"] = "http://elsewhere:4200/api"  # as in CI
    load_environment("prod")
    assert os.environ["NYC_TAXI_ENV"] == "prod"


@pytest.mark.parametrize("name", ["../prod", "Prod", "a b", "."])
def test_what_is_no_name(root: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a valid environment name; use a-z"):
        load_environment(name)


def test_a_file_that_is_no_text(root: Path) -> None:
    (root / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(InvalidInputError, match=r"\.env is not valid UTF-8; save it as UTF-8"):
        load_environment()


def test_parameters_are_fetched_ten_at_a_time_and_only_where_said(root: Path, store: Any) -> None:
    count = 23
    for number in range(count):
        store.put_parameter(
            Name=f"/DataFlows/dev/{number}", Value=f"v{number}", Type="SecureString"
        )
    lines = [f"A_{number}=ssm:/DataFlows/{{environment}}/{number}\n" for number in range(count)]
    (root / ".env").write_text("".join(lines) + "B_ONE=/DataFlows/dev/1\nB_TWO=ssm:else\n")
    (root / ".env.dev").write_text("PREFECT_API_KEY=ssm:/DataFlows/{environment}/7\n")
    os.environ["PREFECT_API_AUTH_STRING"] = "ssm:/DataFlows/dev/8"
    os.environ["SOMEBODY_ELSES"] = "ssm:/DataFlows/dev/8"
    load_environment("dev")
    assert [os.environ[f"A_{number}"] for number in range(count)] == [
        f"v{number}" for number in range(count)
    ]
    assert os.environ["PREFECT_API_KEY"] == "v7"
    assert os.environ.pop("PREFECT_API_AUTH_STRING") == "v8"
    assert os.environ["B_ONE"] == "/DataFlows/dev/1"
    assert os.environ["B_TWO"] == "ssm:else"
    assert os.environ["SOMEBODY_ELSES"] == "ssm:/DataFlows/dev/8"


def test_without_stored_values_aws_is_not_asked(root: Path) -> None:
    (root / ".env").write_text("A_ONE=1\nAWS_PROFILE=not-there\n")
    load_environment()
    assert os.environ["A_ONE"] == "1"


class TestWhatCannotBeFetched:
    @pytest.fixture(autouse=True)
    def of_dev(self, root: Path) -> None:
        (root / ".env.dev").write_text(
            "PREFECT_API_KEY=ssm:/DataFlows/{environment}/PREFECT_API_KEY"
        )

    def test_a_parameter_that_is_not_there(self, store: Any) -> None:
        says = rf"has no {KEY} in this .*put-parameter --type SecureString --name {KEY}"
        with pytest.raises(InvalidInputError, match=says):
            load_environment("dev")

    def test_no_environment_is_named(self, root: Path, store: Any) -> None:
        (root / ".env").write_text((root / ".env.dev").read_text())
        with pytest.raises(
            InvalidInputError, match=r"=ssm:.* needs an environment; set NYC_TAXI_ENV"
        ):
            load_environment()

    def test_no_credentials(self, store: Any) -> None:
        del os.environ["AWS_ACCESS_KEY_ID"]
        with pytest.raises(
            InvalidInputError, match=f"{KEY} cannot.* no AWS credentials were found; set AWS_PR"
        ):
            load_environment("dev")

    def test_no_region(self, store: Any) -> None:
        del os.environ["AWS_DEFAULT_REGION"]
        with pytest.raises(InvalidInputError, match="no AWS region is set; set AWS_DEFAULT_REGION"):
            load_environment("dev")

    def test_no_such_profile(self, store: Any) -> None:
        os.environ["AWS_PROFILE"] = "nobody"
        with pytest.raises(
            InvalidInputError, match="profile nobody does not exist; correct AWS_PROFILE"
        ):
            load_environment("dev")

    def test_aws_does_not_answer(self, store: Any) -> None:
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


def test_prefect_is_not_imported_for_it(root: Path) -> None:
    done = python(
        "import sys; from nyc_taxi.environment import load_environment; load_environment();"
        "print([m for m in ('prefect', 'boto3') if m in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_prefect_heeds_it_even_if_imported_before(root: Path) -> None:
    (root / ".env.dev").write_text("PREFECT_API_URL=http://elsewhere:4200/api\n")
    done = python(
        "from prefect.settings import PREFECT_API_URL\n"
        + FROM_FILE.format(root=str(root))
        + "environment.load_environment('dev'); print(PREFECT_API_URL.value())"
    )
    assert done.stdout == "http://elsewhere:4200/api\n", done.stderr


class TestACommandInAnEnvironment:
    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nyc_taxi.environment", *command],
            env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_it_has_the_values(self, store: Any) -> None:
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
        ("command", "says"),
        [
            (["dev"], "give an environment and a command: python -m nyc_taxi.environment"),
            (["no-such", "true"], "the environment no-such has no file .env.no-such; copy"),
            (["Dev", "true"], "is not a valid environment name"),
        ],
    )
    def test_one_line_says_what_is_wrong(self, command: list[str], says: str) -> None:
        done = self.run(*command)
        assert done.returncode == 1
        assert says in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


FILES = (".env", ".env.dev", ".env.prod", ".env.example")


def test_no_environment_gets_into_git(tmp_path: Path) -> None:
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


def test_no_environment_gets_into_the_image(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "flows"):
        folder.mkdir(exist_ok=True)
        for name in FILES:
            (folder / name).touch()
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    kept = exclude_paths(str(tmp_path), [p for p in patterns if p and not p.startswith("#")])
    assert kept == {"flows", ".env.example"}


def test_each_value_that_a_script_reads_is_explained() -> None:
    scripts = [path for folder in ("blocks", "scripts") for path in (ROOT / folder).rglob("*.py")]
    read = set()
    for path in [*scripts, ROOT / "flows" / "nyc_taxi" / "pools.py"]:
        names = (
            r'"((?:NYC_TAXI|PREFECT_API|(?:CLOUD|DOCKER)_PREFECT|REGISTRY|AWS)_[A-Z0-9_]+[A-Z0-9])"'
        )
        read |= set(re.findall(names, path.read_text()))
    explained = set(re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {"NYC_TAXI_IMAGE", "NYC_TAXI_ECS_CLUSTER", "DOCKER_PREFECT_API_URL"} <= read
    assert read - explained == set()
