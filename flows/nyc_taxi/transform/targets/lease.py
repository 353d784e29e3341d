"""A lock in a warehouse that has none: a row that its owner renews until it is done.

The row of a killed build expires.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Protocol

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.errors import ConnectionLostError, LockTimeoutError
from nyc_taxi.settings import settings

TABLE = "build_lock"
SECONDS = 120
"""Lifetime of the row; renewed four times as often."""


class Row(Protocol):
    table: str

    def acquire(self) -> bool:
        """Take the row if there is none or it has expired; return whether it is this owner's."""

    def renew(self) -> None: ...

    def release(self) -> None: ...


@contextmanager
def held(row: Row) -> Iterator[None]:
    """Hold the lock during the block.

    Raises LockTimeoutError after NYC_TAXI_WAIT seconds, or ConnectionLostError if the warehouse
    is still unavailable then.
    """
    deadline = monotonic() + settings().wait
    while not _acquire(row, deadline):
        if monotonic() > deadline:
            raise LockTimeoutError(
                f"another build has had {row.table} locked for {settings().wait:.0f} s; wait for "
                "it to finish, or stop it, then rerun"
            )
        interruptible_sleep(random.uniform(1, 3))
    done = Event()
    renewal = Thread(target=_renew_until, args=(row, done), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        done.set()
        renewal.join()
        row.release()


def _acquire(row: Row, deadline: float) -> bool:
    """Acquire the row; until the deadline, a lost connection is the same as a lock in use."""
    try:
        return row.acquire()
    except ConnectionLostError:
        if monotonic() > deadline:
            raise
        return False


def _renew_until(row: Row, done: Event) -> None:
    while not done.wait(SECONDS / 4):
        try:
            row.renew()
        except Exception:  # retried before the row expires
            continue
