"""Build the image, push it to a registry, and print its digest, which deployments pin.

    python scripts/docker_deploy.py --dockerfile-dir ./ --docker-name taxi --registry ghcr.io/you

The last line, alone on the standard output, is `<registry>/<name>@sha256:...`; without --registry
nothing is pushed and it is the image's id. Whose registry it is its host tells: for AWS's ECR
(NUMBER.dkr.ecr.REGION.amazonaws.com) and Google's (REGION-docker.pkg.dev/PROJECT/REPOSITORY,
gcr.io) the login comes from the cloud's own credentials, for any other from REGISTRY_USERNAME and
REGISTRY_PASSWORD, or an earlier `docker login`.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Annotated

import boto3
import cyclopts
import google.auth
from botocore.exceptions import BotoCoreError, ClientError
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from nyc_taxi.environment import load_environment
from nyc_taxi.errors import InvalidInputError, NycTaxiError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")
REGISTRY = re.compile(rf"[A-Za-z0-9.-]+(?::\d+)?(?:/{_PART})*")
TAG = re.compile(r"\w[\w.-]{0,127}")
ECR = re.compile(r"\d+\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
GOOGLE = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io")


def _option(help: str) -> cyclopts.Parameter:
    return cyclopts.Parameter(help=help)


class Failed(NycTaxiError):
    """A command of docker's."""


def docker_deploy(
    *,
    dockerfile_dir: Annotated[Path, _option("the folder of the Dockerfile")],
    docker_name: Annotated[str, _option("the image's name")],
    registry: Annotated[str | None, _option("where to push it: a host, and what it has")] = None,
    tag: Annotated[str | None, _option("default: the git commit, and -dirty if changed")] = None,
) -> str:
    load_environment()
    check(dockerfile_dir, docker_name, registry, tag)
    repository = f"{registry}/{docker_name}" if registry else docker_name
    image = f"{repository}:{tag or commit(dockerfile_dir)}"
    engine()
    docker("build", "--force-rm", "--tag", image, str(dockerfile_dir), failing="the build failed")
    if not registry:
        return docker("image", "inspect", "--format", "{{.Id}}", image, shown=False)
    host, _, path = repository.partition("/")
    log_in(host, path)
    said = docker("push", image, failing=f"{host} did not take the image{mend(host, path)}")
    digests = re.findall(r"digest: (sha256:[0-9a-f]{64})", said)
    if not digests:
        raise Failed(f"docker named no digest of {image}; it said: {said[-300:]!r}")
    return f"{repository}@{digests[-1]}"


def check(folder: Path, name: str, registry: str | None, tag: str | None) -> None:
    if not (folder / "Dockerfile").is_file():
        raise InvalidInputError(
            f"{folder} holds no Dockerfile; name its folder with --dockerfile-dir"
        )
    if not NAME.fullmatch(name):
        small = re.sub(r"[^a-z0-9/]+", "-", name.lower()).strip("-/")
        raise InvalidInputError(
            f"{name!r} is no name of an image: small letters and digits, and between them "
            f". _ - and /, such as {small or 'nyc-taxi'}"
        )
    if registry is not None and not REGISTRY.fullmatch(registry):
        raise InvalidInputError(
            f"{registry!r} is no registry: a host, and what comes before the image's name in small "
            "letters, without https:// and without a / at its end, such as ghcr.io/you"
        )
    if tag is not None and not TAG.fullmatch(tag):
        raise InvalidInputError(f"{tag!r} is no tag: letters, digits, _ . and -, such as 1.2")


def commit(folder: Path) -> str:
    def git(*command: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        name = git("rev-parse", "--short=12", "HEAD")
        return f"{name}-dirty" if git("status", "--porcelain") else name
    except (OSError, subprocess.CalledProcessError):
        raise InvalidInputError(
            f"{folder} is of no git commit to be tagged with; give a --tag"
        ) from None


def engine() -> None:
    if not shutil.which("docker"):
        raise InvalidInputError(
            "there is no command docker here; install it: docs.docker.com/engine/install"
        )
    docker(
        *("version", "--format", "{{.Server.Version}}"),
        shown=False,
        failing="no Docker engine answers; start it, or set DOCKER_HOST",
    )


def docker(
    *command: str, shown: bool = True, failing: str = "docker failed", password: str | None = None
) -> str:
    """What docker says, shown while it says it: on stderr, as the result is alone on stdout."""
    process = subprocess.Popen(
        ["docker", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdin and process.stdout
    process.stdin.write(password or "")
    process.stdin.close()
    said = []
    for line in process.stdout:
        said.append(line.rstrip())
        if shown:
            print(said[-1], file=sys.stderr, flush=True)
    if process.wait():
        last = deque((line.strip() for line in said if line.strip()), maxlen=3)
        raise Failed(f"{failing}; the last it said: {' | '.join(last)}")
    return "\n".join(said).strip()


def log_in(host: str, path: str) -> None:
    """Put the registry's login into docker's hands; where there is none, docker may have one."""
    user, password = login(host, path)
    if user and password:
        docker(
            *("login", "--username", user, "--password-stdin", host),
            shown=False,
            password=password,
            failing=f"{host} refused the login as {user}",
        )


def login(host: str, path: str) -> tuple[str, str]:
    """User and password for this registry; empty where nobody gave any."""
    if of_aws := ECR.fullmatch(host):
        return ecr_login(of_aws[1], path)
    if GOOGLE.fullmatch(host):
        return google_login()
    user, password = (os.environ.get(f"REGISTRY_{part}", "") for part in ("USERNAME", "PASSWORD"))
    if bool(user) != bool(password):
        raise InvalidInputError(
            "REGISTRY_USERNAME and REGISTRY_PASSWORD belong together; one is not set"
        )
    return user, password


def ecr_login(region: str, repository: str) -> tuple[str, str]:
    """A token for ECR, which also wants each repository to be made before the first push."""
    try:
        ecr = boto3.Session().client("ecr", region_name=region)
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        try:
            ecr.describe_repositories(repositoryNames=[repository])
        except ecr.exceptions.RepositoryNotFoundException:
            ecr.create_repository(repositoryName=repository)
    except (BotoCoreError, ClientError) as problem:
        said = " ".join(str(problem).split())
        raise InvalidInputError(f"AWS gives no access to ECR: {said}; see AWS_PROFILE") from problem
    user, _, password = base64.b64decode(token).decode().partition(":")
    return user, password


def google_login() -> tuple[str, str]:
    try:
        credentials, _ = google.auth.default(["https://www.googleapis.com/auth/cloud-platform"])
        if not credentials.valid:
            credentials.refresh(Request())
    except GoogleAuthError as problem:
        said = " ".join(str(problem).split())
        raise InvalidInputError(
            f"Google gives no token: {said}; run: gcloud auth application-default login"
        ) from problem
    return "oauth2accesstoken", str(credentials.token)


def mend(host: str, path: str) -> str:
    """Google's repositories are made by hand."""
    place, ours, _ = host.partition("-docker.pkg.dev")
    project, _, rest = path.partition("/")
    if not ours:
        return ""
    return (
        f" (its repository is made by: gcloud artifacts repositories create {rest.split('/')[0]} "
        f"--project={project} --location={place} --repository-format=docker)"
    )


def main() -> None:
    summary = __doc__.splitlines()[0]
    app = cyclopts.App(help=summary, version_flags=[], result_action="return_value")
    app.default(docker_deploy)
    try:
        result = app(exit_on_error=False, print_error=False)
    except (NycTaxiError, cyclopts.CycloptsError) as problem:
        sys.exit(f"error: {' '.join(str(problem).split())}")
    if result:
        print(result)


if __name__ == "__main__":
    main()
