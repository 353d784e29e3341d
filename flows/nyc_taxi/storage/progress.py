"""Progress bars: one line per running step, shown only in an interactive terminal."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.theme import Theme

from nyc_taxi.storage.duckdb_engine import Database

_lock = threading.Lock()
_shared: Progress | None = None
_users = 0


@cache
def _console() -> Console:
    """Return the console that Prefect logs to, so that log lines appear above the bars."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.console.push_theme(Theme())  # Prefect's theme has no styles for bars
            return handler.console
    return Console(stderr=True)


@contextmanager
def progress_bar(name: str, total: int | None) -> Iterator[Callable[[float], None]]:
    """Show a progress bar; call the yielded function with each increment.

    Months that run in parallel share one display.
    """
    global _shared, _users
    with _lock:
        if _shared is None:
            console = _console()
            _shared = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
            _shared.start()
        _users += 1
        progress = _shared
    task = progress.add_task(name, total=total)
    try:
        yield lambda amount: progress.advance(task, amount)
    finally:
        progress.remove_task(task)
        with _lock:
            _users -= 1
            if not _users:
                progress.stop()
                _shared = None


@contextmanager
def query_progress_bar(db: Database, name: str) -> Iterator[None]:
    """Show a progress bar for the statement that `db` runs in the block."""
    db.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
    ended = threading.Event()

    def update() -> None:
        shown = 0.0
        while not ended.wait(0.2):
            now = db.query_progress()
            if now > shown:
                advance(now - shown)
                shown = now

    with progress_bar(name, 100) as advance:
        watcher = threading.Thread(target=update, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
