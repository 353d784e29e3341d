"""dbt's models and tests in the log, the progress bars and the artifacts of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from time import monotonic
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from nyc_taxi.orchestration.artifacts import log_artifact_errors
from nyc_taxi.storage.progress import progress_bar
from nyc_taxi.transform.dbt import Node, Report

UPDATE_INTERVAL = 2.0
"""Seconds between updates of the progress in the UI."""


@contextmanager
def node_reports(layer: str) -> Iterator[Report]:
    """Yield the function that reports a node; publish one row per node, also after a failure."""
    context, logger = copy_context(), get_run_logger()
    rows: list[dict[str, str | float]] = []
    progress = _Progress(layer)

    def report(node: Node, total: int) -> None:
        rows.append(node.as_row())
        (logger.error if node.failed else logger.info)("%s", node)
        percent = 100 / max(1, total)
        advance(percent)
        context.copy().run(progress.advance, percent)  # dbt's threads have no context of Prefect

    with progress_bar(f"dbt {layer}", 100) as advance:
        try:
            yield report
        finally:
            with log_artifact_errors():
                create_table_artifact(rows, key=f"{layer}-nodes")
    progress.end()


class _Progress:
    """Progress artifact of a layer, in percent."""

    def __init__(self, layer: str) -> None:
        self.percent, self.updated = 0.0, monotonic()
        self.artifact: UUID | None = None
        with log_artifact_errors():
            self.artifact = create_progress_artifact(
                0, description=f"share of the models and tests of {layer}"
            )  # type: ignore[assignment]

    def advance(self, percent: float) -> None:
        self.percent += percent
        if monotonic() - self.updated > UPDATE_INTERVAL:
            self._update(min(self.percent, 99))

    def end(self) -> None:
        self._update(100)

    def _update(self, percent: float) -> None:
        self.updated = monotonic()
        if self.artifact:
            with log_artifact_errors():
                update_progress_artifact(self.artifact, percent)
