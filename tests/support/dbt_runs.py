"""Runs of the dbt project in this process, on one warehouse."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.processes import ROOT

PROJECT = ROOT / "dbt"


class DbtFailedError(AssertionError):
    """A model, test or macro failed; the message has a line for each."""


class DbtProject:
    """The project on the warehouse that `environment` points to, parsed once."""

    def __init__(self, folder: Path, environment: dict[str, str], project: Path = PROJECT) -> None:
        self.environment = {
            "DBT_PROJECT_DIR": str(project),
            "DBT_PROFILES_DIR": str(project),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
            "DBT_LOG_LEVEL_FILE": "none",  # dbt does not close its log file
            "NYC_TAXI_DBT_MEMORY": "300MB",
            **environment,
        }
        self.manifest: Any = None

    def build(self, *arguments: str, unit_tests: bool = False, **variables: Any) -> dict[str, str]:
        """Build and test aside; returns the status of each model and test by name."""
        selected = arguments or ("--select", "tag:silver", "tag:dims", "tag:facts")
        skipped = () if unit_tests else ("--exclude-resource-type", "unit_test")
        return self._run("build", *selected, *skipped, variables=variables)

    def publish(self, **variables: Any) -> None:
        self._run("run-operation", "publish", variables=variables)

    def build_and_publish(self, **variables: Any) -> dict[str, str]:
        statuses = self.build(**variables)
        self.publish(**variables)
        return statuses

    def _run(self, *arguments: str, variables: dict[str, Any]) -> dict[str, str]:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        problems: list[str] = []

        def listen(event: Any) -> None:
            if event.info.level == "error":
                problems.append(" ".join(event.info.msg.split()))

        with _environment(self.environment):
            if self.manifest is None:
                parsed = dbtRunner(callbacks=[listen]).invoke(["--quiet", "parse"])
                if not parsed.success:
                    raise DbtFailedError("\n".join(problems))
                self.manifest = parsed.result
            # A copy: a run compiles ephemeral models into the manifest.
            runner = dbtRunner(manifest=self.manifest.deepcopy(), callbacks=[listen])
            try:
                done = runner.invoke(["--quiet", *arguments, "--vars", json.dumps(variables)])
            finally:
                DuckDBConnectionManager.close_all_connections()
        if not done.success:
            raise DbtFailedError("\n".join(problems) or str(done.exception))
        results: Any = done.result
        return {
            node.node.name: str(node.status) for node in results.results if hasattr(node, "node")
        }


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def duckdb_environment(path: Path) -> dict[str, str]:
    return {"NYC_TAXI_DBT_TARGET": "duckdb", "NYC_TAXI_DBT_PATH": str(path)}


def postgres_environment(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "NYC_TAXI_DBT_TARGET": "postgres",
        "NYC_TAXI_DBT_HOST": parts.hostname or "localhost",
        "NYC_TAXI_DBT_PORT": str(parts.port or 5432),
        "NYC_TAXI_DBT_USER": parts.username or "",
        "DBT_ENV_SECRET_NYC_TAXI_PASSWORD": parts.password or "",
        "NYC_TAXI_DBT_DATABASE": parts.path.lstrip("/"),
    }


def environment_of(run: dict[str, str]) -> dict[str, str]:
    """Environment for a separate process."""
    return {**os.environ, **run}
