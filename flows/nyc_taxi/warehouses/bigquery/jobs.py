"""Jobs on BigQuery: each runs exactly once, and stops with the run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.api_core.exceptions import Conflict
from google.cloud import bigquery
from google.cloud.bigquery import LoadJobConfig, Table
from prefect.runtime import task_run

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.errors import LockTimeoutError
from nyc_taxi.settings import settings
from nyc_taxi.storage.google import (
    BIGQUERY_RETRY,
    CHANGE_RETRY,
    InterruptibleFile,
    is_concurrent_update,
    is_transient,
    one_line,
)

CALL_OPTIONS: dict[str, Any] = {"retry": CHANGE_RETRY, "timeout": 60}
"""Retry policy and timeout (in seconds) per API call."""
JOB_OPTIONS: dict[str, Any] = {"retry": BIGQUERY_RETRY, "timeout": 60}
UPLOAD_RETRIES = 4
"""Retries per chunk of an upload, about 15 seconds in total."""
POLL_INTERVALS = (0.05, 1.0)
"""Initial and maximum seconds between polls of a job."""


def job_prefix(name: str) -> str:
    """Return a job id prefix that stays the same when Prefect retries the task."""
    return f"{name}-{task_run.id or uuid4()}"


class Jobs:
    def __init__(self, client: bigquery.Client, dataset: str) -> None:
        self.client = client
        self.dataset = dataset
        self.location: str | None = None

    def query(self, script: str, name: str | None = None) -> None:
        """Run a script. With a name it runs once, even if the task is retried."""

        def start(job_id: str) -> Any:
            return self.client.query(
                script, job_retry=None, **self._job_id_options(job_id), **JOB_OPTIONS
            )

        self._run(start, name or f"query-{uuid4()}")

    def load(self, parquet: Path | str, table: Table, name: str) -> int:
        """Replace the contents of the table with the file; returns the number of rows."""
        config = LoadJobConfig(
            source_format="PARQUET",
            schema=table.schema,
            write_disposition="WRITE_TRUNCATE",
            # Without V2, BigQuery reads the column `two words` as null.
            column_name_character_map="V2",
        )

        def start(job_id: str) -> Any:
            to = {"destination": table, "job_config": config, **self._job_id_options(job_id)}
            if isinstance(parquet, str):
                return self.client.load_table_from_uri(parquet, **to, **JOB_OPTIONS)
            with InterruptibleFile(parquet) as file:
                return self.client.load_table_from_file(
                    file, **to, size=parquet.stat().st_size, num_retries=UPLOAD_RETRIES, timeout=120
                )

        return int(self._run(start, name).output_rows)

    def _run(self, start: Callable[[str], Any], name: str) -> Any:
        """Run a job exactly once; on Conflict, reattach to the existing job id.

        A transient failure is retried under a new job id, for at most NYC_TAXI_WAIT seconds. So is
        a transaction that BigQuery aborts because of a concurrent one:
        https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
        """
        deadline = time.monotonic() + settings().wait
        attempt = 0
        while True:
            job, problem = self._wait(start, f"{name}-{attempt}")
            if problem is None:
                return job
            if not (is_concurrent_update(problem) or is_transient(problem)):
                raise problem
            if time.monotonic() > deadline:
                raise LockTimeoutError(f"{self.dataset}: {one_line(problem)}; rerun") from problem
            attempt += 1
            interruptible_sleep(min(attempt, 10) * random.uniform(0.5, 1))

    def _wait(self, start: Callable[[str], Any], job_id: str) -> tuple[Any, Exception | None]:
        """Wait for a job; returns it and its error, if any. Cancels it if the run is stopped."""
        pause, longest = POLL_INTERVALS
        try:
            try:
                job = start(job_id)
            except Conflict:
                job = self.client.get_job(job_id, location=self.location, **CALL_OPTIONS)
            while job.state != "DONE":
                interruptible_sleep(pause)
                pause = min(pause * 1.5, longest)
                job.reload(**JOB_OPTIONS)
        except Exception:
            raise
        except BaseException:
            with suppress(Exception):
                retry = bigquery.DEFAULT_RETRY.with_timeout(2)
                self.client.cancel_job(job_id, location=self.location, retry=retry, timeout=2)
            raise
        return job, job.exception()

    def _job_id_options(self, job_id: str) -> dict[str, Any]:
        return {"job_id": job_id, "location": self.location}
