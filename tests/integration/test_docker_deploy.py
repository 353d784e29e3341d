"""What scripts/docker_deploy.py says without an engine, and how it gets into clouds' registries."""

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
from scripts.docker_deploy import login, mend
from tests.support.aws import moto_server
from tests.support.processes import ROOT

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Dockerfile, committed."""
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


def refusal(*options: str | Path, **env: str) -> str:
    done = run(*options, **env)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize(
    ("name", "registry", "tag", "says"),
    [
        ("Nyc-Taxi", None, None, "'Nyc-Taxi' is no name of an image: small letters"),
        ("Nyc Taxi", None, None, ", such as nyc-taxi\n"),
        ("nyc-taxi:1.2", None, None, "is no name of an image"),
        ("-taxi", None, None, "is no name of an image"),
        ("taxi", "ghcr.io/You", None, "'ghcr.io/You' is no registry: a host, and"),
        ("taxi", "https://ghcr.io", None, "without https:// and without a / at its end"),
        ("taxi", "ghcr.io/you/", None, "without https:// and without a / at its end"),
        ("taxi", None, "a b", "'a b' is no tag"),
        ("taxi", None, "-x", "'-x' is no tag"),
    ],
)
def test_what_is_no_name(
    folder: Path, name: str, registry: str | None, tag: str | None, says: str
) -> None:
    given = [f"--registry={registry}"] if registry else []
    given += [f"--tag={tag}"] if tag else []
    assert says in refusal("--dockerfile-dir", folder, f"--docker-name={name}", *given)


def test_options_that_are_missing_or_unknown(folder: Path) -> None:
    assert "--docker-name" in refusal("--dockerfile-dir", folder)
    assert "--nam" in refusal("--dockerfile-dir", folder, "--docker-name", "x", "--nam", "y")


def test_no_dockerfile(tmp_path: Path) -> None:
    assert "holds no Dockerfile" in refusal("--dockerfile-dir", tmp_path, "--docker-name", "x")


def test_no_commit_to_be_tagged_with(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").touch()
    said = refusal("--dockerfile-dir", tmp_path, "--docker-name", "x")
    assert "is of no git commit to be tagged with; give a --tag" in said


def test_no_docker(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "")
    said = refusal("--dockerfile-dir", folder, "--docker-name", "x", PATH=str(tmp_path / "bin"))
    assert "there is no command docker" in said


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

    def test_a_token_and_the_repository_once(self) -> None:
        for _ in range(2):
            user, password = login(ECR, "flows/taxi")
            assert user == "AWS"
            assert password
        assert self.repositories("eu-west-1") == ["flows/taxi"]
        assert self.repositories("us-east-1") == []

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(
            InvalidInputError, match=r"no access to ECR: Unable to locate credentials; see"
        ):
            login(ECR, "taxi")


class TestGoogle:
    @pytest.mark.parametrize("host", ["europe-west1-docker.pkg.dev", "gcr.io", "eu.gcr.io"])
    def test_the_token_of_the_machines_credentials(
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
        monkeypatch.setenv("REGISTRY_USERNAME", "somebody")  # of another registry
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "nyc-taxi")
        assert login(host, "p/r/taxi") == ("oauth2accesstoken", "the-token")

    def test_no_credentials(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        with pytest.raises(
            InvalidInputError, match=r"no token: .*; run: gcloud auth application-default"
        ):
            login("gcr.io", "p/taxi")

    def test_its_repository_is_made_by_hand(self) -> None:
        said = mend("europe-west1-docker.pkg.dev", "my-project/flows/taxi")
        assert "create flows --project=my-project --location=europe-west1 " in said
        assert mend("ghcr.io", "you/taxi") == ""


class TestOthers:
    def test_what_the_environment_gives(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REGISTRY_USERNAME", "me")
        monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
        assert login("ghcr.io", "you/taxi") == ("me", "secret")

    def test_dockers_own_login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("REGISTRY_USERNAME", "REGISTRY_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        assert login("ghcr.io", "you/taxi") == ("", "")

    def test_half_of_a_login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REGISTRY_USERNAME", "me")
        monkeypatch.delenv("REGISTRY_PASSWORD", raising=False)
        with pytest.raises(InvalidInputError, match="belong together; one is not set"):
            login("ghcr.io", "you/taxi")
