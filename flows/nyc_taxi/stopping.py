"""Stop a run within seconds, also while it waits for a library or a server.

Python handles a signal between two of its own instructions, so a call that blocks in DuckDB, libpq
or a socket delays it, or swallows it. Such a call runs in a thread of its own (`interruptible`);
the thread that waits for it reacts to a signal, and to `Stop.set`, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from threading import Event, Thread
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")
POLL = 0.1
"""Seconds between two looks at whether the run is being stopped."""
GRACE = 2.0
"""Seconds for an interrupted call to end before its thread is abandoned."""


class Stopped(BaseException):
    """The run is being stopped. Not an Exception, so that no handler of errors swallows it."""


Stop = Event
"""Set, it stops what was started under it (see `stoppable`)."""
_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """What the block starts, in this thread or with a copy of its context, can be stopped."""
    stop = Stop()
    token = _stop.set(stop)
    try:
        yield stop
    finally:
        _stop.reset(token)


def check_stopped() -> None:
    """Raise Stopped if the run is being stopped."""
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise Stopped


def interruptible(call: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Return what `call` returns, from a thread that does not block signals.

    On a signal, or when the run is stopped, `interrupt` is called from this thread, repeatedly,
    until `call` ends or GRACE has passed. `call` runs in a copy of this context.
    """
    check_stopped()
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as problem:
            future.set_exception(problem)

    Thread(target=run, daemon=True).start()
    try:
        while not wait([future], POLL).done:
            check_stopped()
    except BaseException:
        deadline = monotonic() + GRACE
        while not future.done() and monotonic() < deadline:
            with suppress(Exception):
                interrupt()
            wait([future], POLL)
        raise
    return future.result()


def wait_for(seconds: float) -> None:
    """Sleep, unless the run is stopped meanwhile."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        check_stopped()
        sleep(min(left, POLL))
