"""How flows run: which options they have, again after a failure, several months at once."""

import random
from collections.abc import Callable
from concurrent.futures import as_completed, wait
from typing import Annotated, Any, TypeVar
from uuid import UUID

from nyc_taxi.cli import Store
from nyc_taxi.cli import command as command

import cyclopts
from prefect import State, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import TaskRun
from pydantic import Field

from nyc_taxi.errors import MonthsFailed, NycTaxiError
from nyc_taxi.forms import described
from nyc_taxi.lakes import Lake, open_lake
from nyc_taxi.months import TripMonth, parse_months, whole_number
from nyc_taxi.reports import MonthReport, publish, shown_if_possible
from nyc_taxi.settings import settings
from nyc_taxi.stopping import in_threads, stoppable, wait_for
from nyc_taxi.warehouses import Method, Warehouse, open_warehouse

T = TypeVar("T")


SECONDS_TO_STOP = 3
"""For the months of a run to end once it is stopped."""


def _can_pass(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Whether to try again, after a wait that ends when the run is stopped; Prefect's would not."""
    problem = state.result(raise_on_failure=False)
    if not isinstance(problem, NycTaxiError) or not problem.can_pass:
        return False
    seconds = 2 ** (run.run_count - 1) * random.uniform(0.5, 1.5)
    get_run_logger().warning("%s; trying again in %.0f s", problem, seconds)
    wait_for(seconds)
    return True


RETRIES: dict[str, Any] = {"retries": 4, "retry_condition_fn": _can_pass}
"""For a task that meets the network: try again what can pass, after 1, 2, 4 and 8 s or so."""


def _option(read: Callable[[str], Any], *names: str) -> cyclopts.Parameter:
    """An option of one word, read by a function of ours: cyclopts would round a month 1.5."""
    return cyclopts.Parameter(
        name=names, n_tokens=1, negative=(), converter=lambda _, words: read(words[0].value)
    )


_ONE_TO_TWELVE: dict[str, Any] = {"minimum": 1, "maximum": 12}
Year = Annotated[
    int, described("The year of the files.", minimum=2009), _option(whole_number, "--year")
]
Month = Annotated[
    int,
    described("The month of the file, 1 to 12.", **_ONE_TO_TWELVE),
    _option(whole_number, "--month"),
]
Months = Annotated[
    list[Annotated[int, Field(json_schema_extra=_ONE_TO_TWELVE)]],
    described("The months of the files, such as [1, 2].", minItems=1, uniqueItems=True),
    _option(parse_months, "--months", "--month"),
]


def each_month(
    step: Callable[[TripMonth], T], months: list[TripMonth], table: str | None = None
) -> list[T]:
    """Call `step` for every month, NYC_TAXI_MONTHS_AT_ONCE at a time.

    The Prefect UI shows how many are done and, under the key `table`, their reports. A month that
    fails does not stop the others: once all are through, MonthsFailed names every failed month and
    its reason. On a signal, or when Prefect cancels the flow run, all of them are stopped.
    """
    progress = _Progress(len(months))
    with stoppable() as stop:
        runs = dict(zip(months, in_threads(step, months, settings().months_at_once), strict=True))
        try:
            for run in as_completed(runs.values()):
                if run.exception() is None:
                    progress.advance()
        except BaseException:
            stop.set()
            for run in runs.values():
                run.cancel()
            wait(runs.values(), SECONDS_TO_STOP)
            raise
    failed = {trips: run.exception() for trips, run in runs.items() if run.exception()}
    done = [run.result() for trips, run in runs.items() if trips not in failed]
    if table:
        publish([one for one in done if isinstance(one, MonthReport)], table, failed)
    if failed:
        reasons = "; ".join(f"{trips}: {problem}" for trips, problem in failed.items())
        raise MonthsFailed(f"{len(failed)} of {len(months)} months failed: {reasons}")
    return done


class _Progress:
    """The part of the months that are done, in the Prefect UI."""

    def __init__(self, months: int) -> None:
        self.done, self.months = 0, months
        self.artifact: UUID | None = None
        with shown_if_possible():
            self.artifact = create_progress_artifact(0, description=f"of {months} months")  # type: ignore[assignment]

    def advance(self) -> None:
        self.done += 1
        if self.artifact:
            with shown_if_possible():
                update_progress_artifact(self.artifact, 100 * self.done / self.months)


def check_stores(*stores: Store, method: Method = "load") -> None:
    """Check lake and warehouse before anything is fetched: address, rights, version.

    What may pass by itself is left to the steps that use them, which are retried.
    """
    config = settings()
    opened: dict[Store, Callable[[], Lake | Warehouse]] = {
        "lake": lambda: open_lake(config.lake),
        "warehouse": lambda: open_warehouse(config.warehouse, method),
    }
    for store in stores:
        try:
            opened[store]().check()
        except NycTaxiError as problem:
            if not problem.can_pass:
                raise
