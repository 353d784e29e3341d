"""Stop a run within seconds, also while it waits for a library or a server.

Python handles a signal between two of its own instructions, so a call that blocks in DuckDB, libpq
or a socket delays it, or swallows it. Such a call runs in a separate thread (`interruptible`);
the thread that waits for it reacts to a signal, and to `Stop.set`, at once.
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
"""Seconds between two looks at whether the run is being stopped."""
GRACE = 2.0
"""Seconds for an interrupted call to end before its thread is abandoned."""
LIMIT = 4.0
"""Seconds from a signal to the end of a script, whatever it is doing."""


class Stopped(TerminationSignal):
    """The run is being stopped. Not an Exception, so that no handler of errors swallows it.

    Prefect marks the subflows and tasks it ends as it marks their flow: cancelled, or crashed.
    """

    def __init__(self) -> None:
        super().__init__(signal.SIGTERM)


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


def interruptible_sleep(seconds: float) -> None:
    """Sleep, unless the run is stopped meanwhile."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        check_stopped()
        sleep(min(left, POLL))


def run_in_threads(step: Callable[[S], T], items: Iterable[S], at_once: int) -> list[Future[T]]:
    """Call `step` for every item, `at_once` at a time, each in a copy of this context.

    The threads are daemons: one that ignores its interrupt does not keep the process from ending.
    """
    waiting: SimpleQueue[tuple[Future[T], Callable[[], T]]] = SimpleQueue()
    futures = []
    for item in items:
        futures.append(Future[T]())
        waiting.put((futures[-1], partial(copy_context().run, step, item)))

    def work() -> None:
        with suppress(Empty):
            while True:
                future, call = waiting.get_nowait()
                if future.set_running_or_notify_cancel():
                    try:
                        future.set_result(call())
                    except BaseException as problem:
                        future.set_exception(problem)

    for _ in range(min(at_once, len(futures))):
        Thread(target=work, daemon=True).start()
    return futures


partial_files: set[Path] = set()
"""Files to remove if this process is ended in the middle of writing them."""


@contextmanager
def exit_on_signals() -> Iterator[Callable[[], int]]:
    """In the block SIGINT raises KeyboardInterrupt, SIGTERM TerminationSignal.

    Yields what returns the first signal, 0 until there is one: libraries turn the exceptions into
    others. LIMIT seconds after a signal the process is ended, even if a library swallowed the
    exception or never returned; until then nothing is logged to the terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    signals = _Signals()
    # Python writes the number of a signal there, whoever handles it and whatever is running.
    others = signal.set_wakeup_fd(signals.outgoing.fileno(), warn_on_full_buffer=False)
    handler = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield signals.first
    finally:
        if not signals.first():
            signal.signal(signal.SIGTERM, handler)
            signal.set_wakeup_fd(others)
            signals.close()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise TerminationSignal(number)


class _Signals(logging.Filter):
    """The signals of this process; as a filter, it lets records pass until the first of them."""

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
        """The first signal, which stays to be read; 0 if there was none."""
        arrived = select.select([self.incoming], [], [], 0)[0]
        return self._next() if arrived else 0

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


_ending = threading.Lock()


def exit_immediately(number: int) -> NoReturn:
    """End this process as interrupted by the signal, with one line and without cleaning up."""
    _ending.acquire()  # never released: the line is printed once
    for path in list(partial_files):
        with suppress(OSError):
            path.unlink(missing_ok=True)
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # which a progress bar hides
    os.write(2, f"{show_cursor}{INTERRUPTED}\n".encode())
    os._exit(128 + number)
