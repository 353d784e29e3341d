"""The DuckDB file: one writer at a time, between threads as between programs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from nyc_taxi.cancellation import check_stopped, interruptible_sleep
from nyc_taxi.errors import LockTimeoutError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import translate_os_errors
from nyc_taxi.storage.duckdb_engine import Database, open_duckdb, translate_duckdb_errors

_thread_locks: dict[Path, threading.Lock] = {}
"""A lock per file between the threads of this process; DuckDB itself locks out other processes."""
_thread_locks_guard = threading.Lock()


class DuckDBFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: Database | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file open for the block: opening it takes longer than most queries."""
        with self.open() as self._held:
            try:
                yield
            finally:
                self._held = None

    @contextmanager
    def open(self) -> Iterator[Database]:
        """Open the file, waiting up to NYC_TAXI_WAIT seconds for other runs to release it."""
        if self._held:
            with translate_duckdb_errors(self.path):
                yield self._held
            return
        if self.path.is_dir():
            raise StorageError(
                f"{self.path} is a folder; set NYC_TAXI_WAREHOUSE to a file in it, such as "
                f"duckdb:{self.path / 'warehouse.duckdb'}"
            )
        with translate_os_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_file() and _is_sqlite(self.path):  # which DuckDB would open
                raise StorageError(
                    f"{self.path} is an SQLite database; set NYC_TAXI_WAREHOUSE to another file"
                )
        deadline = time.monotonic() + settings().wait
        with self.thread_lock(deadline), ExitStack() as opened:
            while True:
                try:
                    with translate_os_errors(self.path):
                        db = opened.enter_context(open_duckdb(str(self.path)))
                    break
                except duckdb.IOException as problem:
                    if "Could not set lock" not in str(problem):
                        raise self._open_error(problem) from problem
                    self._check_deadline(deadline, _holder(str(problem)))
                except duckdb.Error as problem:
                    raise self._open_error(problem) from problem
                interruptible_sleep(0.2)
            with translate_duckdb_errors(self.path):
                yield db

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        with self.open() as db, translate_os_errors(self.path):
            db.begin()
            try:
                yield db
                db.commit()
            except BaseException:
                db.rollback()
                raise

    @contextmanager
    def thread_lock(self, deadline: float) -> Iterator[None]:
        """Serialize threads that use the same file, even via different symbolic links."""
        with _thread_locks_guard:
            lock = _thread_locks.setdefault(self.path.resolve(), threading.Lock())
        while not lock.acquire(timeout=0.1):
            check_stopped()
            self._check_deadline(deadline)
        try:
            yield
        finally:
            lock.release()

    def _open_error(self, problem: duckdb.Error) -> StorageError:
        return StorageError(
            f"cannot open {self.path}: {str(problem).splitlines()[0]}; "
            "set NYC_TAXI_WAREHOUSE to another file, or move this one"
        )

    def _check_deadline(self, deadline: float, holder: str = "another program") -> None:
        if time.monotonic() > deadline:
            raise LockTimeoutError(
                f"{self.path} has been locked by {holder} for "
                f"{settings().wait:.0f} s; close that program and rerun"
            )


def _holder(message: str) -> str:
    """Return the program and process id that DuckDB's message names."""
    found = re.search(r"lock is held in (.+? \(PID \d+\))", message)
    return found[1] if found else "another program"


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"
