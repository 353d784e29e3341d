"""How the scripts run: from the command line, again after a failure, several months at once."""

import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from typing import Annotated, Any, TypeVar

import cyclopts
from prefect import Flow, State
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import ParameterTypeError
from prefect.tasks import exponential_backoff
from pydantic import Field

from nyc_taxi.errors import MonthsFailed, NycTaxiError
from nyc_taxi.forms import described
from nyc_taxi.months import TripMonth, parse_months, whole_number
from nyc_taxi.settings import settings

T = TypeVar("T")


def _can_pass(task: Any, run: Any, state: State[Any]) -> bool:
    problem = state.result(raise_on_failure=False)
    return isinstance(problem, NycTaxiError) and problem.can_pass


RETRIES: dict[str, Any] = {
    "retries": 4,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),
    "retry_jitter_factor": 1,
    "retry_condition_fn": _can_pass,
}
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


def each_month(step: Callable[[TripMonth], T], months: list[TripMonth]) -> list[T]:
    """Call `step` for every month, NYC_TAXI_MONTHS_AT_ONCE at a time.

    The Prefect UI shows how many are done. A month that fails does not stop the others: once all
    are through, MonthsFailed names every failed month and its reason.
    """
    shown = create_progress_artifact(0, description=f"of {len(months)} months")
    with ThreadPoolExecutor(settings().months_at_once) as pool:
        runs = [(trips, pool.submit(copy_context().run, step, trips)) for trips in months]
        for done, _ in enumerate(as_completed(run for _, run in runs), 1):
            update_progress_artifact(shown, 100 * done / len(months))  # type: ignore[arg-type]
    failed = [(trips, run.exception()) for trips, run in runs if run.exception()]
    if failed:
        reasons = "; ".join(f"{trips}: {problem}" for trips, problem in failed)
        raise MonthsFailed(f"{len(failed)} of {len(months)} months failed: {reasons}")
    return [run.result() for _, run in runs]


class _OneLine(logging.Filter):
    """An error of ours says all there is to say: leave out its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], NycTaxiError):
            record.msg, record.args = str(record.exc_info[1]), ()
            record.exc_info = record.exc_text = None
        return True


def command(flow: Flow[..., Any]) -> None:
    """Run a flow from the command line, with an option for each of its parameters.

    Exits with 1, and one line that says what to do, when the flow or its input fails.
    """
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_OneLine())
    app = cyclopts.App(help=flow.description, version_flags=[], result_action="return_value")
    app.default(flow.fn)
    try:
        main, bound, _ = app.parse_args(sys.argv[1:], exit_on_error=False, print_error=False)
        call = flow if main is flow.fn else main
        call(*bound.args, **bound.kwargs)
        return
    except (NycTaxiError, ParameterTypeError, cyclopts.CycloptsError) as problem:
        line = f"error: {' '.join(str(problem).split())}"
        # What the frames hold of DuckDB would be reported as leaked when Python ends.
        traceback.clear_frames(problem.__traceback__)
    except KeyboardInterrupt:
        line = "stopped: what was done is kept, run it again to go on"
    gc.collect()
    sys.exit(line)
