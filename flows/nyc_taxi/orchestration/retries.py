"""Retry policy of tasks that use the network."""

import random
from typing import Any

from prefect import State, get_run_logger
from prefect.client.schemas.objects import TaskRun

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.errors import NycTaxiError


def _retry_if_transient(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Return whether to retry, after a backoff that ends if the run is stopped.

    Prefect's own retry delay would continue after a signal.
    """
    problem = state.result(raise_on_failure=False)
    if not isinstance(problem, NycTaxiError) or not problem.retryable:
        return False
    seconds = 2 ** (run.run_count - 1) * random.uniform(0.5, 1.5)
    get_run_logger().warning("%s; retrying in %.0f s", problem, seconds)
    interruptible_sleep(seconds)
    return True


RETRIES: dict[str, Any] = {"retries": 4, "retry_condition_fn": _retry_if_transient}
"""Task options: retry transient errors after about 1, 2, 4 and 8 seconds, with jitter."""
