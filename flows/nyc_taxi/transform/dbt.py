"""dbt in this process: the manifest is parsed once, and every model and test is reported."""

from __future__ import annotations

import gc
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from nyc_taxi.cancellation import interruptible
from nyc_taxi.errors import TransformError
from nyc_taxi.settings import settings
from nyc_taxi.storage.spark import current_session
from nyc_taxi.transform.project import definition, project_folder
from nyc_taxi.transform.targets.base import SUFFIX, Target

QUIET = ("--log-level", "none", "--log-level-file", "none", "--no-print", "--no-use-colors")
UNCHANGED = "the published tables are unchanged"
FAILED = ("error", "fail", "runtime error")
_running = threading.Lock()
"""dbt keeps its flags and connections in global variables, so it runs once at a time. An invocation
that was abandoned after a signal holds the lock until it ends."""
_manifests: dict[tuple[object, ...], Any] = {}


@dataclass(frozen=True)
class Node:
    """A model or test that dbt has run."""

    name: str
    """`silver.trips`, or the name of a test."""
    kind: str
    """model or test."""
    status: str
    """success, pass, warn, error, fail or skipped."""
    seconds: float
    message: str
    """One line; empty unless it failed."""

    def __str__(self) -> str:
        problem = f": {self.message}" if self.message else ""
        return f"{self.kind} {self.name}: {self.status} in {self.seconds:.2f} s{problem}"

    @property
    def failed(self) -> bool:
        return self.status in FAILED

    def as_row(self) -> dict[str, str | float]:
        return {
            "node": self.name,
            "kind": self.kind,
            "status": self.status,
            "seconds": self.seconds,
            "message": self.message,
        }


Report = Callable[[Node, int], None]
"""Called with each node as it ends, and the number of nodes; from a thread of dbt."""


class Dbt:
    """The project, building tables `..._next` in a warehouse."""

    def __init__(self, target: Target, folder: Path | None = None) -> None:
        self.target = target
        self.folder = folder or project_folder()
        self.definition = definition(self.folder)

    def publish(self, parts: Sequence[str], months: Sequence[date] | None) -> None:
        """Replace `months` (None: all) of the published tables of `parts`, in one transaction.

        Raises TransformError; the tables are then unchanged.
        """
        problems: list[str] = []

        def on_event(event: Any) -> None:
            if event.info.name in ("RunningOperationCaughtError", "RunningOperationUncaughtError"):
                problems.append(_reason(event.data.exc))

        done = self._invoke(
            *("run-operation", "publish"),
            variables=self._variables(parts, months),
            manifest=self.parse(),
            callback=on_event,
        )
        if not done.success:
            raise TransformError(f"publish: {'; '.join(problems)}; {UNCHANGED}")

    def tables(self, parts: Sequence[str]) -> list[str]:
        """Return the tables that the models of `parts` build aside. Does not import dbt."""
        models = self.folder / "models"
        return sorted(
            f"{path.relative_to(models).parts[0]}.{path.stem}{SUFFIX}"
            for path in models.rglob("*.sql")
            if path.parent.name in parts
        )

    def parse(self) -> Any:
        """Return the manifest, parsed once in a process."""
        key = (self.folder, self.definition, self.target.profile, self.target.name)
        if key not in _manifests:
            _manifests[key] = self._invoke("parse", variables={"suffix": SUFFIX}).result
            gc.collect()
            gc.freeze()  # else every collection visits the manifest
        return _manifests[key]

    def build(
        self, tags: Sequence[str], parts: Sequence[str], months: Sequence[date], report: Report
    ) -> None:
        """Build and test the models with these tags; `parts` are read from where they are built.

        Raises TransformError that names the models and tests that failed.
        """
        nodes: list[Node] = []
        total = 0

        def on_event(event: Any) -> None:
            nonlocal total
            if event.info.name == "LogStartLine":
                total = event.data.total
            if event.info.name == "NodeFinished":
                nodes.append(_node(event.data))
                report(nodes[-1], total)

        result = self._invoke(
            *("build", "--select", *(f"tag:{tag}" for tag in tags)),
            *("--indirect-selection", "empty", "--exclude-resource-type", "unit_test"),
            variables=self._variables(parts, months),
            # A copy: dbt compiles ephemeral models into it, and would not do so a second time.
            manifest=self.parse().deepcopy(),
            callback=on_event,
        )
        failed = [node for node in nodes if node.failed]
        if failed or not result.success:
            raise TransformError(_describe(failed, len(nodes)))

    def _variables(self, parts: Sequence[str], months: Sequence[date] | None) -> dict[str, Any]:
        return {
            "suffix": SUFFIX,
            "parts": [*parts],
            "months": [str(month) for month in months] if months else None,
            "definition": self.definition,
            "lock_timeout": f"{max(1, round(settings().wait * 1000))}ms",
        }

    def _invoke(
        self,
        command: str,
        *options: str,
        variables: Mapping[str, object],
        manifest: Any = None,
        callback: Callable[[Any], None] | None = None,
    ) -> Any:
        """Run a dbt command. Raises TransformError for an error before the first node."""
        from dbt.cli.main import dbtRunner  # imported lazily: it takes two seconds

        scratch = settings().data_dir / "dbt" / self.target.profile
        arguments = [
            *(*QUIET, "--no-write-json", "--no-send-anonymous-usage-stats", command, *options),
            *("--project-dir", str(self.folder), "--profiles-dir", str(self.folder)),
            *("--target", self.target.profile, "--target-path", str(scratch)),
            *("--log-path", str(scratch), "--vars", json.dumps(variables)),
        ]
        runner = dbtRunner(manifest, [callback] if callback else [])

        def invoke() -> Any:
            with _running:
                return runner.invoke(arguments)

        with self.target.opened() as environment, _environment(environment):
            result = interruptible(invoke, _cancel_queries)
        if result.exception:
            reason = _reason(str(result.exception), with_place=True)
            raise TransformError(f"dbt {command}: {reason}")
        return result


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the block, and unset the user's options of dbt.

    With DBT_EMPTY, for example, dbt builds tables without rows, and all tests pass.
    """
    from dbt.env_vars import KNOWN_ENGINE_ENV_VARS

    options = {name for known in KNOWN_ENGINE_ENV_VARS for name in (known.name, known.old_name)}
    before = {name: os.environ.get(name) for name in {*options, *variables} if name}
    for name in before:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _cancel_queries() -> None:
    """Cancel the running statements of all connections that dbt has open, and Spark's jobs."""
    from dbt.adapters.factory import FACTORY

    if session := current_session():
        session.sparkContext.cancelAllJobs()
    adapters: list[Any] = [*FACTORY.adapters.values()]
    for adapter in adapters:
        with suppress(Exception), adapter.connection_named("cancel"):
            adapter.cancel_open_connections()


def _node(data: Any) -> Node:
    info, result = data.node_info, data.run_result
    kind, schema = info.resource_type, info.node_relation.schema
    status = str(result.status or info.node_status)
    problem = _reason(result.message) if status in (*FAILED, "warn") else ""
    return Node(
        f"{schema}.{info.node_name}" if kind == "model" else info.node_name,
        kind,
        status,
        round(result.execution_time, 3),
        problem,
    )


def _describe(failed: Sequence[Node], total: int) -> str:
    problems = "; ".join(f"{node.kind} {node.name}: {node.message}" for node in failed)
    return (
        f"{len(failed)} of {total} models and tests failed: {problems or 'see the log'}; "
        f"{UNCHANGED}"
    )


def _reason(message: str, with_place: bool = False) -> str:
    """Return the decisive line of a message, without the query below it.

    `with_place`: with the model or macro of dbt's heading.
    """
    lines = [" ".join(line.split()) for line in message.splitlines() if line.strip()]
    heading = ""
    while len(lines) > 1 and re.match(r"[\w ]+ (Error|Exception)( in .*)?$", lines[0]):
        heading, *lines = lines
    if "due to lock timeout" in message:
        return (
            f"other sessions have locked a table for {settings().wait:g} s; end their "
            "transactions and rerun"
        )
    if "version of dbt is not supported" in message:
        return f"{' '.join(lines[:3])}; run make install"
    if heading and (with_place or not re.search(r" in (model|test|macro) ", heading)):
        return f"{heading}: {lines[0]}"
    return lines[0] if lines else "no message"
