"""Cancellation of a run within seconds, even while it is blocked in a library or on a server.

Python handles a signal between two bytecode instructions, so a call that blocks in DuckDB, libpq or
a socket delays or swallows it. Such a call runs in a separate thread (`interruptible`); the waiting
thread reacts to a signal and to `Stop.set` immediately.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic, sleep
from types import FrameType
from typing import NoReturn, TypeVar

from prefect.exceptions import TerminationSignal

from nyc_taxi.errors import INTERRUPTED

S = TypeVar("S")
T = TypeVar("T")
POLL = 0.1
"""Polling interval in seconds."""
GRACE = 2.0
"""Seconds that an interrupted call has to return before its thread is abandoned."""
LIMIT = 4.0
"""Seconds from a signal to the forced exit of a script."""


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


partial_files: set[Path] = set()
"""Files being written, which a forced exit removes."""


@contextmanager
def exit_on_signals() -> Iterator[Callable[[], int]]:
    """Within the block, raise KeyboardInterrupt on SIGINT and TerminationSignal on SIGTERM.

    Yields a function that returns the first signal, or 0: libraries replace the exceptions with
    others. LIMIT seconds after a signal the process exits, even if a library swallowed the
    exception or never returned. Until then nothing is logged to the terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    signals = _Signals()
    # Python writes the number of every signal there, whatever handles it and whatever is running.
    previous_fd = signal.set_wakeup_fd(signals.outgoing.fileno(), warn_on_full_buffer=False)
    previous_handler = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield signals.first
    finally:
        if not signals.first():
            signal.signal(signal.SIGTERM, previous_handler)
            signal.set_wakeup_fd(previous_fd)
            signals.close()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise TerminationSignal(number)


class _Signals(logging.Filter):
    """Signals of this process; as a logging filter, it drops the records after the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.incoming, self.outgoing = socket.socketpair()
        self.outgoing.setblocking(False)
        self.watcher = Thread(target=self._watch, daemon=True)
        self.watcher.start()
        self.handlers = [
            handler
            for logger in [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
            for handler in getattr(logger, "handlers", [])
            if getattr(handler, "stream", None) in (sys.stderr, sys.stdout)
        ]
        for handler in self.handlers:
            handler.addFilter(self)

    def close(self) -> None:
        for handler in self.handlers:
            handler.removeFilter(self)
        self.outgoing.close()
        self.watcher.join()
        self.incoming.close()

    def filter(self, record: logging.LogRecord) -> bool:
        return not self.first()

    def first(self) -> int:
        """Return the first signal without consuming it; 0 if there was none."""
        readable = select.select([self.incoming], [], [], 0)[0]
        return self._next() if readable else 0

    def _next(self) -> int:
        return next(iter(self.incoming.recv(1, socket.MSG_PEEK)), 0)

    def _watch(self) -> None:
        number = self._next()
        while number and number not in (signal.SIGINT, signal.SIGTERM):
            self.incoming.recv(1)
            number = self._next()
        if number:
            sleep(LIMIT)
            exit_immediately(number)


_exiting = threading.Lock()


def exit_immediately(number: int) -> NoReturn:
    """Remove partial files, print one line and exit as killed by the signal, without cleanup."""
    _exiting.acquire()  # never released, so that the line is printed once
    for path in list(partial_files):
        with suppress(OSError):
            path.unlink(missing_ok=True)
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides it
    os.write(2, f"{show_cursor}{INTERRUPTED}\n".encode())
    os._exit(128 + number)
