"""A lock in BigQuery, which has none: a row that its owner renews until it is done.

The row of a killed build expires. Only one MERGE changes the table at a time:
https://cloud.google.com/bigquery/docs/data-manipulation-language#dml-limitations
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from time import monotonic
from uuid import uuid4

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.errors import LockTimeoutError
from nyc_taxi.settings import settings
from nyc_taxi.warehouses.bigquery.dataset import Dataset

TABLE = "build_lock"
SECONDS = 120
"""Lifetime of the row; renewed four times as often."""


@contextmanager
def lease(dataset: Dataset) -> Iterator[None]:
    """Hold the lock during the block. Raises LockTimeoutError after NYC_TAXI_WAIT seconds."""
    row = _Row(dataset)
    deadline = monotonic() + settings().wait
    while not row.acquire():
        if monotonic() > deadline:
            raise LockTimeoutError(
                f"another build has had {row.table} locked for {settings().wait:.0f} s; wait for "
                "it to finish, or stop it, then rerun"
            )
        interruptible_sleep(random.uniform(1, 3))
    done = Event()
    renewal = Thread(target=row.renew_until, args=(done,), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        done.set()
        renewal.join()
        row.release()


class _Row:
    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.table = dataset.table(TABLE)
        self.owner = uuid4().hex
        self.jobs = 0
        self._run(f"CREATE TABLE IF NOT EXISTS `{self.table}` (owner STRING, until TIMESTAMP)")

    def acquire(self) -> bool:
        self._run(
            f"MERGE INTO `{self.table}` AS held USING (SELECT 1) ON TRUE "
            f"WHEN MATCHED AND held.until < CURRENT_TIMESTAMP() THEN UPDATE SET "
            f"owner = '{self.owner}', until = {_UNTIL} "
            f"WHEN NOT MATCHED THEN INSERT (owner, until) VALUES ('{self.owner}', {_UNTIL})"
        )
        rows = self.dataset.client.query_and_wait(f"SELECT owner FROM `{self.table}`")
        owners = [row[0] for row in rows]
        if owners == [self.owner]:
            return True
        self.release()  # two builds have inserted the first row
        return False

    def renew_until(self, done: Event) -> None:
        while not done.wait(SECONDS / 4):
            with suppress(Exception):  # retried before the row expires
                self._run(
                    f"UPDATE `{self.table}` SET until = {_UNTIL} WHERE owner = '{self.owner}'"
                )

    def release(self) -> None:
        self._run(f"DELETE FROM `{self.table}` WHERE owner = '{self.owner}'")

    def _run(self, sql: str) -> None:
        self.jobs += 1
        self.dataset.jobs.query(sql, f"lock-{self.owner}-{self.jobs}")


_UNTIL = f"TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {SECONDS} SECOND)"
