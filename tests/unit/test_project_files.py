"""License, templates and the dev container."""

import json
import subprocess
import sys
import tomllib

import pytest

from tests.support.processes import ROOT

DEV_CONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_license_is_the_declared_one() -> None:
    assert "Apache License" in (ROOT / PROJECT["license-files"][0]).read_text()[:200]
    assert PROJECT["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    "path",
    [str(path.relative_to(ROOT)) for path in ROOT.rglob("Dockerfile") if ".venv" not in str(path)],
)
def test_every_image_is_labeled_with_the_license(path: str) -> None:
    _, *stages = (ROOT / path).read_text().split("\nFROM ")
    assert stages
    assert all("org.opencontainers.image.licenses=Apache-2.0" in stage for stage in stages)


def test_changelog_starts_with_the_version_of_the_project() -> None:
    releases = [
        line.removeprefix("## ")
        for line in (ROOT / "CHANGELOG.md").read_text().splitlines()
        if line.startswith("## ") and line != "## Unreleased"
    ]
    assert releases[0].startswith(f"{PROJECT['version']} - 20")


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("dependabot", ".github/dependabot.yml"),
        ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/feature.yml"),
    ],
)
def test_github_file_fits_its_schema(schema: str, path: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, ROOT / path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_dev_container_starts_from_an_image_and_installs() -> None:
    """The keys that matter of the dev container specification; its schema is not in a package."""
    assert DEV_CONTAINER["image"].startswith("mcr.microsoft.com/devcontainers/python:3.")
    assert f"\n{DEV_CONTAINER['postCreateCommand'].removeprefix('make ')}:" in MAKEFILE
    ports = DEV_CONTAINER["forwardPorts"]
    assert {str(port) for port in ports} == set(DEV_CONTAINER["portsAttributes"])
    assert all(isinstance(port, int) and 0 < port < 65536 for port in ports)
    assert DEV_CONTAINER["hostRequirements"]["cpus"] >= 2
