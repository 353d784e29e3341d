"""The CI workflow: its commands exist, it deploys to the right place, with minimal permissions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import conftest
from tests.support.processes import ROOT
from tests.support.services import NO_SERVICE, pytest_sessionfinish

PATH = ROOT / ".github" / "workflows" / "pipeline.yml"
TEXT = PATH.read_text()
# YAML 1.1 reads the key `on` as true.
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
RUNS = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def scripts() -> list[tuple[str, set[str]]]:
    """Return each script that a step runs, with its options."""
    found = []
    for run in RUNS:
        for command in run.replace("\\\n", " ").splitlines():
            if match := re.search(r"(?:^|[\s(])(?:\S*/)?python (\S+\.py)(.*)", command):
                found.append((match[1], set(re.findall(r"(?<!\S)--[a-z][\w-]*", match[2]))))
    return found


def step_of(job: str, word: str) -> dict[str, Any]:
    (found,) = (step for step in JOBS[job]["steps"] if word in step.get("run", ""))
    return dict(found)


def test_workflow_uses_existing_make_targets() -> None:
    used = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(RUNS)))
    assert {"check", "audit", "coverage", "test-docker", "install"} <= used <= TARGETS


def test_workflow_runs_the_expected_scripts() -> None:
    assert {path for path, _ in scripts()} == {
        "scripts/docker_deploy.py",
        "scripts/prefect_build/build.py",
    }


@pytest.mark.parametrize(("path", "options"), scripts())
def test_scripts_accept_the_options_of_the_workflow(path: str, options: set[str]) -> None:
    help_text = subprocess.run(
        [sys.executable, path, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert help_text.returncode == 0, help_text.stderr
    assert options
    assert options <= set(re.findall(r"--[a-z][\w-]*", help_text.stdout))


def test_workflow_runs_for_both_branches_and_their_pull_requests() -> None:
    assert WORKFLOW[True] == {
        "push": {"branches": ["dev", "main"]},
        "pull_request": {"branches": ["dev", "main"]},
    }
    assert "pull_request_target" not in TEXT
    assert "workflow_run" not in TEXT


@pytest.mark.parametrize(
    ("job", "branch", "prefix"), [("plan", "base_ref", "plan-"), ("deploy", "ref_name", "")]
)
def test_main_deploys_to_prod_and_dev_to_dev(job: str, branch: str, prefix: str) -> None:
    """Code of a pull request runs in a separate environment, without the secrets of prod."""
    choice = "${{{{ github.{} == 'main' && '{}prod' || '{}dev' }}}}"
    assert JOBS[job]["environment"] == choice.format(branch, prefix, prefix)
    assert JOBS[job]["env"]["NYC_TAXI_ENV"] == choice.format(branch, "", "")
    assert '--env "$NYC_TAXI_ENV"' in step_of(job, "build.py")["run"]


def test_secrets_are_passed_only_to_the_steps_that_need_them() -> None:
    given = {
        (job, name): value
        for job, facts in JOBS.items()
        for name, value in facts.get("env", {}).items()
        if "secrets." in value or "token" in value
    }
    assert not given
    secrets = set(re.findall(r"secrets\.(\w+)", TEXT))
    assert secrets == {"PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_READ_KEY"}
    assert "secrets.PREFECT_API_KEY" not in json.dumps(JOBS["plan"])


def test_actions_are_pinned_by_commit() -> None:
    used = re.findall(r"uses: (.*)", TEXT)
    assert len(used) == 8
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in used)
    assert len(set(used)) == 2  # one version of each


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    (command,) = re.findall(r"^\t\$\(BIN\)/(zizmor .*) \.github$", MAKEFILE, re.MULTILINE)
    program, *options = command.split()
    assert "--offline" in options
    found = Path(sys.executable).with_name(program)
    return subprocess.run([found, *options, folder], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (
            "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2",
            "actions/checkout@v6",
        ),
        ("permissions: {}\n", "permissions: write-all\n"),
        ("run: make test\n", "run: echo ${{ github.event.pull_request.title }}\n"),
        ("  pull_request: {", "  pull_request_target: {"),
    ],
)
def test_make_check_lints_the_workflow(tmp_path: Path, good: str, bad: str) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "pipeline.yml").write_text(TEXT)
    clean = lint(tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    (folder / "pipeline.yml").write_text(TEXT.replace(good, bad, 1))
    assert lint(tmp_path).returncode != 0


def test_ci_fails_on_skipped_tests() -> None:
    """CI installs what the tests need, so a skipped test fails the build."""
    assert JOBS["test"]["env"] == {"NYC_TAXI_TEST_SERVICES": "all"}
    assert "docker-registry" in step_of("test", "apt-get")["run"]
    local = (ROOT / ".ci" / "run").read_text()
    assert "export NYC_TAXI_TEST_SERVICES=all" in local
    assert re.search(r"apt-get update .*apt-get install .*docker-registry chromium", local)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("required", "service", "code"),
    [
        ("", "no Docker engine answers", 0),
        ("all", "no Docker engine answers", 1),
        ("Docker", "no docker-registry (apt-get install docker-registry)", 1),
        ("docker", "no Docker engine answers", 1),
        ("chromium", "no Docker engine answers", 0),
    ],
)
def test_missing_service_fails_ci(tmp_path: Path, required: str, service: str, code: int) -> None:
    assert vars(conftest)["pytest_sessionfinish"] is pytest_sessionfinish
    (tmp_path / "test_it.py").write_text(
        f"import pytest\ndef test_it(): pytest.skip({NO_SERVICE + service!r})\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        + ["-p", "tests.support.services", tmp_path],
        cwd=tmp_path,
        env={
            **os.environ,
            "NYC_TAXI_TEST_SERVICES": required,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == code, run.stdout + run.stderr


def test_pull_request_only_does_a_dry_run() -> None:
    assert JOBS["plan"]["if"] == "github.event_name == 'pull_request'"
    assert "--dry-run" in step_of("plan", "build.py")["run"]
    assert "GITHUB_STEP_SUMMARY" in step_of("plan", "build.py")["run"]
    comment = step_of("plan", "gh pr comment")["run"]
    assert {"--edit-last", "--create-if-none"} <= set(comment.split())
    assert not [step for step in JOBS["plan"]["steps"] if "docker" in step.get("run", "")]


def test_fork_without_secrets_does_not_fail() -> None:
    first, *others = JOBS["plan"]["steps"]
    assert first["env"] == {"PREFECT_API_URL": "${{ secrets.PREFECT_API_URL }}"}
    assert "No dry run" in first["run"]
    assert all("steps.server.outputs.named == 'true'" in step["if"] for step in others)


def test_only_a_tested_push_is_deployed() -> None:
    assert JOBS["deploy"]["needs"] == "test"
    assert JOBS["deploy"]["if"] == "github.event_name == 'push'"
    assert "--dry-run" not in step_of("deploy", "build.py")["run"]
    assert '--image "$NYC_TAXI_IMAGE"' in step_of("deploy", "build.py")["run"]


def test_deployments_of_a_branch_run_one_at_a_time_and_complete() -> None:
    assert WORKFLOW["concurrency"] == {
        "group": "pipeline-${{ github.ref }}",
        "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
    }


def test_jobs_have_minimal_permissions() -> None:
    assert WORKFLOW["permissions"] == {}
    more = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert more == {
        "test": {"contents": "read"},
        "cluster": {"contents": "read"},
        "plan": {"contents": "read", "pull-requests": "write"},
        "deploy": {"contents": "read", "packages": "write"},
    }
    assert not [job for job in JOBS.values() if "timeout-minutes" not in job]
    checkouts = [s for j in JOBS.values() for s in j["steps"] if "checkout" in s.get("uses", "")]
    assert len(checkouts) == len(JOBS)
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_untrusted_text_never_enters_a_command() -> None:
    """Text from a branch or a pull request reaches a shell only as a variable."""
    assert not [run for run in RUNS if "${{" in run]


def test_workflow_uses_the_documented_buckets() -> None:
    explained = (ROOT / ".env.example").read_text()
    for env in (JOBS["plan"]["env"], step_of("deploy", "build.py")["env"]):
        for kind in ("S3", "GCS"):
            name = f"NYC_TAXI_CODE_{kind}_BUCKET"
            assert env[name] == f"${{{{ vars.{name} }}}}"
            assert f"{name}=" in explained


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., Path]:
    """Run a step in a shell as GitHub does, with a `python` that prints its arguments."""

    def run(job: str, word: str, **env: str) -> Path:
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        script = tmp_path / ".venv" / "bin" / "python"
        script.write_text('#!/bin/sh\necho "$@" | tr " " ,\n')
        script.chmod(0o755)
        files = {f"GITHUB_{name}": str(tmp_path / name) for name in ("OUTPUT", "STEP_SUMMARY")}
        subprocess.run(
            ["bash", "-e", "-c", step_of(job, word)["run"]],
            cwd=tmp_path,
            env={**os.environ, **files, **env},
            check=True,
            timeout=20,
        )
        return tmp_path

    return run


@pytest.mark.parametrize("repository", ["You/NYC-Taxi", "you/taxi"])
def test_image_name_is_lower_case(runner: Callable[..., Path], repository: str) -> None:
    folder = runner("deploy", "docker_deploy.py", GITHUB_REPOSITORY=repository)
    owner, name = repository.lower().split("/")
    given = f"--dockerfile-dir,./,--docker-name,{name},--registry,ghcr.io/{owner}"
    output = (folder / "OUTPUT").read_text()
    assert output == f"name=scripts/docker_deploy.py,{given}\n"


def test_plan_table_is_in_comment_and_summary(runner: Callable[..., Path]) -> None:
    folder = runner("plan", "build.py", NYC_TAXI_ENV="prod")
    output = "scripts/prefect_build/build.py,--env,prod,--dry-run"
    assert (folder / "plan.md").read_text() == f"What this would change in `prod`:\n\n{output}\n"
    assert (folder / "STEP_SUMMARY").read_text() == (folder / "plan.md").read_text()
