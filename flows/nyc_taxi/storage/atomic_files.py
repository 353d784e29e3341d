"""A file appears whole or not at all, and one run at a time writes it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import duckdb
from filelock import BaseFileLock, FileLock, Timeout

from nyc_taxi.cancellation import POLL, interruptible_sleep, partial_files
from nyc_taxi.errors import LocalWriteError, LockTimeoutError
from nyc_taxi.settings import settings


@contextmanager
def file_lock(target: Path) -> Iterator[None]:
    """Hold `target` against other runs, on this machine, until the block ends."""
    with translate_os_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"), blocking=False)
        _acquire(lock, target, settings().wait)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, target: Path, seconds: float) -> None:
    deadline = monotonic() + seconds
    while True:
        try:
            lock.acquire()
            return
        except Timeout:
            if monotonic() > deadline:
                raise LockTimeoutError(
                    f"another run has been writing {target} for {seconds:.0f} s; wait for it, "
                    "or stop it and run this again"
                ) from None
        interruptible_sleep(POLL)


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A path to write; what it holds when the block ends becomes `target` in one step.

    A run killed half-way leaves `target` as it was, and a `.part` that the next run overwrites.
    """
    with file_lock(target):
        part = target.with_name(f"{target.name}.part")
        partial_files.add(part)
        try:
            with translate_os_errors(target):
                yield part
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)
            partial_files.discard(part)


@contextmanager
def translate_os_errors(target: Path) -> Iterator[None]:
    """Turn what the disk says (full, read-only, not a folder) into one line."""
    try:
        yield
    except OSError as problem:
        raise LocalWriteError(
            _write_error_message(target, problem.strerror or str(problem))
        ) from problem
    except duckdb.Error as problem:
        known = (os.strerror(code) for code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT))
        reason = next((text for text in known if text in str(problem)), None)
        if reason is None:
            raise
        raise LocalWriteError(_write_error_message(target, reason)) from problem


def _write_error_message(target: Path, reason: str) -> str:
    return (
        f"cannot write {target}: {reason}; make room or allow it there, or choose "
        "another folder (NYC_TAXI_DATA_DIR, NYC_TAXI_LAKE, NYC_TAXI_WAREHOUSE)"
    )
