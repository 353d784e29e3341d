"""Artifacts shown in the Prefect UI: month reports and progress."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)


@runtime_checkable
class Report(Protocol):
    """Result of one month or request of a run, such as a MonthReport."""

    def as_row(self) -> dict[str, int | float | str]: ...


def publish_reports(
    reports: Iterable[Report],
    key: str,
    failed: Mapping[Any, BaseException | None] | None = None,
) -> None:
    """Publish a table artifact with one row per month; failed months come last."""
    rows = [report.as_row() for report in reports]
    columns = dict.fromkeys(name for row in rows for name in row)
    rows = [{name: row.get(name, 0) for name in columns} for row in rows]
    rows += [{"month": str(m), "failed": str(problem)} for m, problem in (failed or {}).items()]
    with log_artifact_errors():
        create_table_artifact(rows, key=key)


@contextmanager
def log_artifact_errors() -> Iterator[None]:
    """Log a failure to save an artifact as a warning; the run continues."""
    try:
        yield
    except Exception as problem:
        reason = " ".join(str(problem).split())
        get_run_logger().warning(
            "cannot save an artifact for the Prefect UI: %s; the run continues", reason
        )


class Progress:
    """Progress artifact: a share, in percent."""

    def __init__(self, description: str) -> None:
        self.artifact: UUID | None = None
        with log_artifact_errors():
            self.artifact = create_progress_artifact(0, description=description)  # type: ignore[assignment]

    def show(self, percent: float) -> None:
        if self.artifact:
            with log_artifact_errors():
                update_progress_artifact(self.artifact, percent)
