"""Atomic file writes and file locks."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import duckdb
from filelock import BaseFileLock, FileLock, Timeout

from nyc_taxi.cancellation import POLL, interruptible_sleep
from nyc_taxi.errors import LocalWriteError, LockTimeoutError
from nyc_taxi.settings import settings
from nyc_taxi.signals import partial_files


@contextmanager
def file_lock(target: Path) -> Iterator[None]:
    """Lock `target` against other runs on this machine.

    Raises LockTimeoutError after NYC_TAXI_WAIT seconds.
    """
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
                    f"another run has had {target} locked for {seconds:.0f} s; wait for it "
                    "to finish, or stop it, then rerun"
                ) from None
        interruptible_sleep(POLL)


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `target` when the block ends without an error.

    A run killed mid-write leaves `target` unchanged, and a `.part` file that the next run
    overwrites.
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
    """Turn errors of the filesystem (full, read-only, not a folder) into LocalWriteError."""
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
        f"cannot write {target}: {reason}; free space or fix its permissions, or choose "
        "another folder (NYC_TAXI_DATA_DIR, NYC_TAXI_LAKE, NYC_TAXI_WAREHOUSE)"
    )
