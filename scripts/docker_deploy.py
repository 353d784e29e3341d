"""Build the image, push it to a registry, and print its digest for deployments to pin.

    python scripts/docker_deploy.py --dockerfile-dir ./ --docker-name taxi --registry ghcr.io/you

The only line on standard output is `<registry>/<name>@sha256:...`; without --registry nothing is
pushed, and it is the image's id. The registry's host decides where the login comes from: for AWS
ECR (NUMBER.dkr.ecr.REGION.amazonaws.com) and Google (REGION-docker.pkg.dev/PROJECT/REPOSITORY,
gcr.io) the cloud's credentials, for any other REGISTRY_USERNAME and REGISTRY_PASSWORD, or an
earlier `docker login`.
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


class DockerError(NycTaxiError):
    """A docker command failed."""


def docker_deploy(
    *,
    dockerfile_dir: Annotated[Path, _option("folder that contains the Dockerfile")],
    docker_name: Annotated[str, _option("name of the image")],
    registry: Annotated[str | None, _option("where to push it, such as ghcr.io/you")] = None,
    tag: Annotated[
        str | None, _option("default: the git commit, with -dirty after changes")
    ] = None,
) -> str:
    load_environment()
    validate_options(dockerfile_dir, docker_name, registry, tag)
    repository = f"{registry}/{docker_name}" if registry else docker_name
    image = f"{repository}:{tag or commit_tag(dockerfile_dir)}"
    check_engine()
    docker("build", "--force-rm", "--tag", image, str(dockerfile_dir), error="the build failed")
    if not registry:
        return docker("image", "inspect", "--format", "{{.Id}}", image, echo=False)
    host, _, path = repository.partition("/")
    log_in(host, path)
    error = f"{host} rejected the image{create_repository_hint(host, path)}"
    output = docker("push", image, error=error)
    digests = re.findall(r"digest: (sha256:[0-9a-f]{64})", output)
    if not digests:
        raise DockerError(f"docker printed no digest of {image}: {output[-300:]!r}")
    return f"{repository}@{digests[-1]}"


def validate_options(folder: Path, name: str, registry: str | None, tag: str | None) -> None:
    if not (folder / "Dockerfile").is_file():
        raise InvalidInputError(
            f"{folder} contains no Dockerfile; set --dockerfile-dir to its folder"
        )
    if not NAME.fullmatch(name):
        suggestion = re.sub(r"[^a-z0-9/]+", "-", name.lower()).strip("-/") or "nyc-taxi"
        raise InvalidInputError(
            f"{name!r} is not a valid image name: lower-case letters and digits, separated by "
            f". _ - or /, such as {suggestion}"
        )
    if registry is not None and not REGISTRY.fullmatch(registry):
        raise InvalidInputError(
            f"{registry!r} is not a valid registry: a host and a lower-case path, without https:// "
            "and without a trailing /, such as ghcr.io/you"
        )
    if tag is not None and not TAG.fullmatch(tag):
        raise InvalidInputError(
            f"{tag!r} is not a valid tag: letters, digits, _ . and -, such as 1.2"
        )


def commit_tag(folder: Path) -> str:
    """Return the folder's git commit, with -dirty if files have changed since."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        name = git("rev-parse", "--short=12", "HEAD")
        return f"{name}-dirty" if git("status", "--porcelain") else name
    except (OSError, subprocess.CalledProcessError):
        raise InvalidInputError(
            f"{folder} has no git commit to use as the tag; give a --tag"
        ) from None


def check_engine() -> None:
    if not shutil.which("docker"):
        raise InvalidInputError(
            "the command docker is missing; install it: docs.docker.com/engine/install"
        )
    docker(
        *("version", "--format", "{{.Server.Version}}"),
        echo=False,
        error="no Docker engine answers; start it, or set DOCKER_HOST",
    )


def docker(
    *command: str, echo: bool = True, error: str = "docker failed", password: str | None = None
) -> str:
    """Run a docker command and return its output.

    With `echo`, the output is also printed as it arrives, to stderr: stdout is for the result.
    Raises DockerError, which starts with `error` and ends with the last lines of the output.
    """
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
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if echo:
            print(lines[-1], file=sys.stderr, flush=True)
    if process.wait():
        last = deque((line.strip() for line in lines if line.strip()), maxlen=3)
        raise DockerError(f"{error}; its last output: {' | '.join(last)}")
    return "\n".join(lines).strip()


def log_in(host: str, path: str) -> None:
    """Log docker in to the registry; without credentials, an earlier login is used."""
    user, password = registry_credentials(host, path)
    if user and password:
        docker(
            *("login", "--username", user, "--password-stdin", host),
            echo=False,
            password=password,
            error=f"{host} rejected the login as {user}",
        )


def registry_credentials(host: str, path: str) -> tuple[str, str]:
    """Return user and password for this registry; empty if none are set."""
    if ecr := ECR.fullmatch(host):
        return ecr_credentials(ecr[1], path)
    if GOOGLE.fullmatch(host):
        return google_credentials()
    user, password = (os.environ.get(f"REGISTRY_{part}", "") for part in ("USERNAME", "PASSWORD"))
    if bool(user) != bool(password):
        raise InvalidInputError(
            "REGISTRY_USERNAME and REGISTRY_PASSWORD belong together; set both or neither"
        )
    return user, password


def ecr_credentials(region: str, repository: str) -> tuple[str, str]:
    """Return a token for ECR, and create the repository: ECR requires it before the first push."""
    try:
        ecr = boto3.Session().client("ecr", region_name=region)
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        try:
            ecr.describe_repositories(repositoryNames=[repository])
        except ecr.exceptions.RepositoryNotFoundException:
            ecr.create_repository(repositoryName=repository)
    except (BotoCoreError, ClientError) as problem:
        reason = " ".join(str(problem).split())
        raise InvalidInputError(f"AWS denied access to ECR: {reason}; see AWS_PROFILE") from problem
    user, _, password = base64.b64decode(token).decode().partition(":")
    return user, password


def google_credentials() -> tuple[str, str]:
    try:
        credentials, _ = google.auth.default(["https://www.googleapis.com/auth/cloud-platform"])
        if not credentials.valid:
            credentials.refresh(Request())
    except GoogleAuthError as problem:
        reason = " ".join(str(problem).split())
        raise InvalidInputError(
            f"Google issued no token: {reason}; run: gcloud auth application-default login"
        ) from problem
    return "oauth2accesstoken", str(credentials.token)


def create_repository_hint(host: str, path: str) -> str:
    """Return the command that creates a repository at Google, which a push does not; else ""."""
    location, domain, _ = host.partition("-docker.pkg.dev")
    project, _, rest = path.partition("/")
    if not domain:
        return ""
    return (
        f" (to create its repository: gcloud artifacts repositories create {rest.split('/')[0]} "
        f"--project={project} --location={location} --repository-format=docker)"
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
