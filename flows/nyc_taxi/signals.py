"""Exit of a script after Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from time import sleep
from types import FrameType
from typing import NoReturn

from prefect.exceptions import TerminationSignal

from nyc_taxi.errors import INTERRUPTED

LIMIT = 4.0
"""Seconds from a signal to the forced exit of a script."""
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
