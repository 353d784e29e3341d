"""Cancellation of a run within seconds, even while it is blocked in a library or on a server.

Python handles a signal between two bytecode instructions, so a call that blocks in DuckDB, libpq or
a socket delays or swallows it. Such a call runs in a separate thread (`interruptible`); the waiting
thread reacts to a signal and to `Stop.set` immediately.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic, sleep
from typing import TypeVar

from prefect.exceptions import TerminationSignal

S = TypeVar("S")
T = TypeVar("T")
POLL = 0.1
"""Polling interval in seconds."""
GRACE = 2.0
"""Seconds that an interrupted call has to return before its thread is abandoned."""


class Stopped(TerminationSignal):
    """The run is being stopped. Not an Exception, so that `except Exception` does not swallow it.

    Prefect gives the subflows and tasks that it ends the state of their flow: cancelled or crashed.
    """

    def __init__(self) -> None:
        super().__init__(signal.SIGTERM)


Stop = Event
"""Once set, it stops the calls made within its `stoppable` block."""
_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Yield a Stop for the calls of the block, in this thread or in a copy of its context."""
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
    """Run `call` in another thread, so that signals still reach this one; return its result.

    On a signal, or when the run is stopped, call `interrupt` from this thread repeatedly until
    `call` returns or GRACE seconds have passed. `call` runs in a copy of this context.
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


def interruptible_sleep(seconds: float) -> None:
    """Sleep for some seconds. Raises Stopped as soon as the run is stopped."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        check_stopped()
        sleep(min(left, POLL))


def run_in_threads(step: Callable[[S], T], items: Iterable[S], at_once: int) -> list[Future[T]]:
    """Call `step` for each item, `at_once` of them in parallel, in copies of this context.

    The threads are daemons: one that ignores its interrupt does not block the exit of the process.
    """
    pending: SimpleQueue[tuple[Future[T], Callable[[], T]]] = SimpleQueue()
    futures = []
    for item in items:
        futures.append(Future[T]())
        pending.put((futures[-1], partial(copy_context().run, step, item)))

    def work() -> None:
        with suppress(Empty):
            while True:
                future, call = pending.get_nowait()
                if future.set_running_or_notify_cancel():
                    try:
                        future.set_result(call())
                    except BaseException as problem:
                        future.set_exception(problem)

    for _ in range(min(at_once, len(futures))):
        Thread(target=work, daemon=True).start()
    return futures
