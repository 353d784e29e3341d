"""The holds of requirements.in: a test fails when its hold is no longer needed.

Those that ask the package index are slow: without a network each waits for its retries.
"""

import os
import re
import subprocess
import tomllib
from importlib.metadata import requires

from tests.support.environment import install_environment

import pytest
from packaging.requirements import Requirement

from tests.support.processes import ROOT
from tests.support.services import NO_SERVICE

INTEL_MAC = ("--python-platform", "x86_64-apple-darwin", "--only-binary", ":all:")


def resolve(package: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Find the newest version on the package index for Python 3.12."""
    return subprocess.run(
        [".venv/bin/uv", "pip", "compile", "-", "--quiet", "--no-deps", "--no-annotate",
         "--no-header", "--python-version", "3.12", *options],
        cwd=ROOT,
        env={
            **os.environ,
            **install_environment(),
            "MACOSX_DEPLOYMENT_TARGET": "14.0",
            "UV_PYTHON_DOWNLOADS": "never",
        },
        input=package,
        capture_output=True,
        text=True,
    )  # fmt: skip


def newest(package: str, *options: str) -> str:
    done = resolve(package, *options)
    if done.returncode:
        pytest.skip(f"{NO_SERVICE}no package index: {done.stderr.strip()[:200]}")
    return done.stdout.strip().removeprefix(f"{package}==")


def test_holds_are_those_tested_here() -> None:
    held = re.findall(r"^([\w-]+)[<>=]", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert set(held) == {"cryptography", "dbt-core", "prefect-aws", "pyproj"}


@pytest.mark.slow
@pytest.mark.parametrize("package", ["cryptography", "pyproj"])
def test_newest_has_no_wheel_for_intel_macs(package: str) -> None:
    assert newest(package, *INTEL_MAC) != newest(package)


@pytest.mark.slow
def test_prefect_aws_excludes_the_newest_boto3() -> None:
    [botocore] = [
        requirement
        for requirement in map(Requirement, requires("aiobotocore") or ())
        if requirement.name == "botocore" and not requirement.marker
    ]
    assert newest("botocore") not in botocore.specifier


def test_dbt_core_excludes_the_mashumaro_that_supports_python_3_14() -> None:
    """The pin that keeps this project below Python 3.14 (dbt-core issue 12098)."""
    [mashumaro] = [
        requirement
        for requirement in map(Requirement, requires("dbt-core") or ())
        if requirement.name == "mashumaro"
    ]
    assert "3.17" not in mashumaro.specifier


def test_excluded_package_is_required_and_not_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [excluded] = project["tool"]["uv"]["exclude-dependencies"]
    required = {Requirement(requirement).name for requirement in requires("dbt-bigquery") or ()}
    assert excluded in required
    assert excluded not in (ROOT / "docker-requirements.txt").read_text()


@pytest.mark.slow
def test_newest_dbt_core_needs_a_package_without_wheels() -> None:
    """Its source distribution downloads a compiler from outside the package index."""
    parser = "dbt-core-experimental-parser"
    assert newest(parser, "--only-binary", ":all:") != newest(parser, "--prerelease", "allow")
