"""scripts/docker_deploy.py: its errors without an engine, and its logins to cloud registries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from nyc_taxi.errors import InvalidInputError
from scripts.docker_deploy import create_repository_hint, registry_credentials
from tests.support.aws import moto_server
from tests.support.processes import ROOT

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A git repository with a Dockerfile."""
    made = tmp_path / "image"
    made.mkdir()
    (made / "Dockerfile").write_text("FROM python:3.11-slim\n")
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "--quiet", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(made), *command], check=True)
    return made


def run(*options: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/docker_deploy.py", *map(str, options)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def error_line(*options: str | Path, **env: str) -> str:
    done = run(*options, **env)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("name", "registry", "tag", "message"),
    [
        ("Nyc-Taxi", None, None, "'Nyc-Taxi' is not a valid image name: lower-case letters"),
        ("Nyc Taxi", None, None, ", such as nyc-taxi\n"),
        ("nyc-taxi:1.2", None, None, "is not a valid image name"),
        ("-taxi", None, None, "is not a valid image name"),
        (
            "taxi",
            "ghcr.io/You",
            None,
            "'ghcr.io/You' is not a valid registry: a host and a lower-case path",
        ),
        ("taxi", "https://ghcr.io", None, "without https:// and without a trailing /"),
        ("taxi", "ghcr.io/you/", None, "without https:// and without a trailing /"),
        ("taxi", None, "a b", "'a b' is not a valid tag"),
        ("taxi", None, "-x", "'-x' is not a valid tag"),
    ],
)
def test_deploy_rejects_invalid_names(
    folder: Path, name: str, registry: str | None, tag: str | None, message: str
) -> None:
    options = [f"--registry={registry}"] if registry else []
    options += [f"--tag={tag}"] if tag else []
    assert message in error_line("--dockerfile-dir", folder, f"--docker-name={name}", *options)


def test_deploy_reports_missing_and_unknown_options(folder: Path) -> None:
    assert "--docker-name" in error_line("--dockerfile-dir", folder)
    assert "--nam" in error_line("--dockerfile-dir", folder, "--docker-name", "x", "--nam", "y")


def test_deploy_without_a_dockerfile_is_a_one_line_error(tmp_path: Path) -> None:
    assert "contains no Dockerfile" in error_line(
        "--dockerfile-dir", tmp_path, "--docker-name", "x"
    )


def test_deploy_without_a_commit_asks_for_a_tag(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").touch()
    error = error_line("--dockerfile-dir", tmp_path, "--docker-name", "x")
    assert "has no git commit to use as the tag; give a --tag" in error


def test_deploy_without_docker_is_a_one_line_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "")
    error = error_line("--dockerfile-dir", folder, "--docker-name", "x", PATH=str(tmp_path / "bin"))
    assert "the command docker is missing" in error


class TestAws:
    @pytest.fixture(autouse=True)
    def aws(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with moto_server() as env:
            for name, value in env.items():
                monkeypatch.setenv(name, value)
            monkeypatch.delenv("AWS_DEFAULT_REGION")
            yield

    def repositories(self, region: str) -> list[str]:
        ecr = boto3.Session().client("ecr", region_name=region)
        return [found["repositoryName"] for found in ecr.describe_repositories()["repositories"]]

    def test_credentials_are_a_token_and_the_repository_is_created_once(self) -> None:
        for _ in range(2):
            user, password = registry_credentials(ECR, "flows/taxi")
            assert user == "AWS"
            assert password
        assert self.repositories("eu-west-1") == ["flows/taxi"]
        assert self.repositories("us-east-1") == []

    def test_missing_credentials_are_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(
            InvalidInputError, match=r"denied access to ECR: Unable to locate credentials; see"
        ):
            registry_credentials(ECR, "taxi")


class TestGoogle:
    @pytest.mark.parametrize("host", ["europe-west1-docker.pkg.dev", "gcr.io", "eu.gcr.io"])
    def test_credentials_are_the_token_of_this_machine(
        self, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = {
            "type": "authorized_user",
            "client_id": "me",
            "client_secret": "secret",
            "refresh_token": "again",
            "token": "the-token",
            "expiry": "2099-01-01T00:00:00Z",
            "quota_project_id": "nyc-taxi",
        }
        path = tmp_path / "key.json"
        path.write_text(json.dumps(key))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        monkeypatch.setenv("REGISTRY_USERNAME", "another")  # of another registry
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "nyc-taxi")
        assert registry_credentials(host, "p/r/taxi") == ("oauth2accesstoken", "the-token")

    def test_missing_credentials_are_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        with pytest.raises(
            InvalidInputError, match=r"issued no token: .*; run: gcloud auth application-default"
        ):
            registry_credentials("gcr.io", "p/taxi")

    def test_hint_is_the_command_that_creates_the_repository(self) -> None:
        hint = create_repository_hint("europe-west1-docker.pkg.dev", "my-project/flows/taxi")
        assert "create flows --project=my-project --location=europe-west1 " in hint
        assert create_repository_hint("ghcr.io", "you/taxi") == ""


class TestOthers:
    def test_credentials_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REGISTRY_USERNAME", "me")
        monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
        assert registry_credentials("ghcr.io", "you/taxi") == ("me", "secret")

    def test_credentials_are_empty_for_an_earlier_docker_login(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("REGISTRY_USERNAME", "REGISTRY_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        assert registry_credentials("ghcr.io", "you/taxi") == ("", "")

    def test_a_user_without_a_password_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REGISTRY_USERNAME", "me")
        monkeypatch.delenv("REGISTRY_PASSWORD", raising=False)
        with pytest.raises(InvalidInputError, match="belong together; set both or neither"):
            registry_credentials("ghcr.io", "you/taxi")
