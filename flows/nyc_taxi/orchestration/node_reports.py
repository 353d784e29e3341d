"""dbt's models and tests in the log, the progress bars and the artifacts of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from time import monotonic

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact

from nyc_taxi.orchestration.artifacts import Progress, log_artifact_errors
from nyc_taxi.storage.progress import progress_bar
from nyc_taxi.transform.dbt import Node, Report

UPDATE_INTERVAL = 2.0
"""Seconds between updates of the progress in the UI."""


@contextmanager
def node_reports(layer: str) -> Iterator[Report]:
    """Yield the function that reports a node; publish one row per node, also after a failure."""
    context, logger = copy_context(), get_run_logger()
    rows: list[dict[str, str | float]] = []
    progress, updated = Progress(f"share of the models and tests of {layer}"), monotonic()

    def report(node: Node, total: int) -> None:
        nonlocal updated
        rows.append(node.as_row())
        (logger.error if node.failed else logger.info)("%s", node)
        advance(100 / max(1, total))
        if monotonic() - updated > UPDATE_INTERVAL:
            updated = monotonic()
            # dbt's threads have no context of Prefect.
            context.copy().run(progress.show, 100 * len(rows) / max(1, total))

    with progress_bar(f"dbt {layer}", 100) as advance:
        try:
            yield report
        finally:
            with log_artifact_errors():
                create_table_artifact(rows, key=f"{layer}-nodes")
    progress.show(100)
