"""Run a step for several months in parallel."""

from collections.abc import Callable
from concurrent.futures import as_completed, wait
from typing import TypeVar

from nyc_taxi.cancellation import run_in_threads, stoppable
from nyc_taxi.errors import NycTaxiError, PartialFailureError
from nyc_taxi.lakes.base import Lake
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.orchestration.artifacts import Progress, Report, publish_reports
from nyc_taxi.orchestration.spark_application import publish_application
from nyc_taxi.registry import Store
from nyc_taxi.settings import settings
from nyc_taxi.warehouses.base import Method, Warehouse
from nyc_taxi.warehouses.registry import open_warehouse

M = TypeVar("M")
T = TypeVar("T")


STOP_TIMEOUT = 3
"""Seconds for running months to end after a signal or a cancellation."""


def run_months(step: Callable[[M], T], months: list[M], table: str | None = None) -> list[T]:
    """Call `step` for every month, NYC_TAXI_MONTHS_AT_ONCE at a time, and return the results.

    A month is a TripMonth, or anything else with a short text.

    Publishes progress and, under the artifact key `table`, the month reports. A failed month does
    not stop the others; at the end PartialFailureError lists every failed month and its reason.
    A signal or the cancellation of the flow run stops all months.
    """
    progress, completed = Progress(f"share of {len(months)} months completed"), 0
    with stoppable() as stop:
        runs = dict(
            zip(months, run_in_threads(step, months, settings().months_at_once), strict=True)
        )
        try:
            for run in as_completed(runs.values()):
                if run.exception() is None:
                    completed += 1
                    progress.show(100 * completed / len(months))
        except BaseException:
            stop.set()
            for run in runs.values():
                run.cancel()
            wait(runs.values(), STOP_TIMEOUT)
            raise
    failed = {trips: run.exception() for trips, run in runs.items() if run.exception()}
    done = [run.result() for trips, run in runs.items() if trips not in failed]
    if table:
        publish_reports([report for report in done if isinstance(report, Report)], table, failed)
    if failed:
        reasons = "; ".join(f"{trips}: {problem}" for trips, problem in failed.items())
        raise PartialFailureError(f"{len(failed)} of {len(months)} months failed: {reasons}")
    return done


def check_stores(*stores: Store, method: Method = "load") -> None:
    """Check the address, permissions and version of each store before anything is fetched.

    Transient errors are ignored here: the tasks that use the store retry them.
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
            if not problem.retryable:
                raise
    publish_application()
