"""scripts/docker_deploy.py with a Docker engine and a registry (Debian's docker-registry)."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from local_services.process import free_port
from tests.support.prefect_systems import ROOT
from tests.support.services import NO_SERVICE

pytestmark = pytest.mark.timeout(300)

NAME = "nyc-taxi-push-test"
USER, PASSWORD = "tester", "of-the-test"
HTPASSWD = f"{USER}:$2b$04$vnC/aXF58ZSU5X4LUrOW6OOCzfA4VEmOG9HhFtq4oKMefFzUKC.iq\n"
Deploy = Callable[..., subprocess.CompletedProcess[str]]


def docker(*command: str) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip(f"{NO_SERVICE}no Docker engine answers")
    yield
    made = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    for image in made:
        if f"/{NAME}:" in image or image.startswith(f"{NAME}:"):
            docker("image", "rm", "--force", image)


@pytest.fixture(scope="module", params=["open", "with a login"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an empty registry."""
    if not shutil.which("docker-registry"):
        pytest.skip(f"{NO_SERVICE}no docker-registry (apt-get install docker-registry)")
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    (folder / "config.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/images}}}}\n"
        f"http: {{addr: {address}}}\n" + (auth if request.param == "with a login" else "")
    )
    log = (folder / "log").open("w")
    server = subprocess.Popen(
        ["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log
    )
    try:
        for _ in range(100):
            try:
                urlopen(f"http://{address}/v2/", timeout=5).close()
                break
            except HTTPError as refused:
                refused.close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()
        log.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with unique content, so that a push has a layer to upload."""
    made = tmp_path_factory.mktemp("image")
    (made / "content").write_text(secrets.token_hex())
    (made / "Dockerfile").write_text("FROM python:3.11-slim\nCOPY content /content\n")
    return made


@pytest.fixture
def deploy(folder: Path, tmp_path: Path) -> Deploy:
    """The script, with a docker configuration without a login."""

    def run(
        *options: str, dockerfile_dir: Path = folder, **env: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: v for name, v in os.environ.items() if not name.startswith("REGISTRY_")}
        return subprocess.run(
            [sys.executable, "scripts/docker_deploy.py", "--docker-name", NAME]
            + ["--dockerfile-dir", str(dockerfile_dir), *options],
            cwd=ROOT,
            env={**kept, "PYTHONPATH": str(ROOT / "flows"), "DOCKER_CONFIG": str(tmp_path), **env},
            capture_output=True,
            text=True,
            timeout=200,
        )

    return run


LOGIN = {"REGISTRY_USERNAME": USER, "REGISTRY_PASSWORD": PASSWORD}


def test_deploy_without_a_registry_prints_the_image_id(deploy: Deploy, folder: Path) -> None:
    done = deploy("--tag", "1")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", done.stdout)
    content = docker("run", "--rm", done.stdout.strip(), "cat", "/content")
    assert content == (folder / "content").read_text()
    assert "python:3.11-slim" in done.stderr  # its progress


def test_deploy_pushes_and_prints_the_digest(
    registry: str, deploy: Deploy, folder: Path, tmp_path: Path
) -> None:
    done = deploy("--tag", "1", "--registry", f"{registry}/flows", **LOGIN)
    assert done.returncode == 0, done.stderr
    pinned = done.stdout.splitlines()[-1]
    assert re.fullmatch(rf"{registry}/flows/{NAME}@sha256:[0-9a-f]{{64}}", pinned)
    assert PASSWORD not in done.stdout + done.stderr
    assert deploy("--tag", "1", "--registry", f"{registry}/flows", **LOGIN).stdout == done.stdout

    docker("image", "rm", "--force", f"{registry}/flows/{NAME}:1")
    docker("--config", str(tmp_path), "pull", "--quiet", pinned)
    assert docker("run", "--rm", pinned, "cat", "/content") == (folder / "content").read_text()
    docker("image", "rm", "--force", pinned)


@pytest.mark.parametrize("registry", ["with a login"], indirect=True)
class TestErrors:
    def error_line(self, done: subprocess.CompletedProcess[str]) -> str:
        assert (done.returncode, done.stdout) == (1, "")
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: ")
        assert "Traceback" not in done.stderr
        return last

    def test_a_wrong_password_is_reported(self, registry: str, deploy: Deploy) -> None:
        wrong = {**LOGIN, "REGISTRY_PASSWORD": "not-it"}
        done = deploy("--tag", "1", "--registry", registry, **wrong)
        assert f"{registry} rejected the login as {USER}; " in self.error_line(done)
        assert "not-it" not in done.stderr

    def test_a_missing_login_is_reported(self, registry: str, deploy: Deploy) -> None:
        done = deploy("--tag", "1", "--registry", registry)
        assert f"{registry} rejected the image; " in self.error_line(done)
        assert "no basic auth credentials" in self.error_line(done)

    def test_a_failed_build_is_reported(
        self, registry: str, deploy: Deploy, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad"
        bad.mkdir()
        (bad / "Dockerfile").write_text("FROM python:3.11-slim\nRUN echo no such luck && exit 3\n")
        done = deploy("--tag", "1", "--registry", registry, dockerfile_dir=bad, **LOGIN)
        assert "the build failed; its last output: " in self.error_line(done)
        assert "no such luck" in self.error_line(done)

    def test_an_unreachable_registry_is_reported(self, registry: str, deploy: Deploy) -> None:
        unreachable = f"127.0.0.1:{free_port()}"
        done = deploy("--tag", "1", "--registry", unreachable, **LOGIN)
        assert f"{unreachable} rejected the login" in self.error_line(done)
        assert "connection refused" in self.error_line(done)

    def test_a_missing_engine_is_reported(
        self, registry: str, deploy: Deploy, tmp_path: Path
    ) -> None:
        done = deploy("--tag", "1", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
        assert "no Docker engine answers; start it, or set DOCKER_HOST; " in self.error_line(done)


def test_deploy_tags_with_the_commit(deploy: Deploy, tmp_path: Path) -> None:
    made = tmp_path / "committed"
    made.mkdir()
    (made / "Dockerfile").write_text("FROM python:3.11-slim\n")

    def git(*command: str) -> str:
        me = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        done = subprocess.run(
            ["git", "-C", made, *me, *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "-m", "x")
    commit = git("rev-parse", "--short=12", "HEAD")
    for tag in (commit, f"{commit}-dirty"):
        done = deploy(dockerfile_dir=made)
        assert done.returncode == 0, done.stderr
        assert docker("image", "inspect", "--format", "{{.Id}}", f"{NAME}:{tag}") in done.stdout
        (made / "new").touch()
