"""One transaction on PostgreSQL, whose statements are interrupted by a signal or a stopped run."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import Any

import psycopg2
from psycopg2.extensions import connection, quote_ident

from nyc_taxi.cancellation import interruptible
from nyc_taxi.settings import settings
from nyc_taxi.warehouses.postgres.binary_copy import Feed

CANCEL_TIMEOUT = 1.0
"""Seconds for the server to act on a cancel request before the connection is closed."""
_BEGIN_SQL = """BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off;
SET LOCAL quote_all_identifiers = off;"""
"""Override defaults of the role or the database: no timeouts, no objects that shadow pg_catalog, no
rows hidden by row-level security, unquoted type names. Sent as one message, because an idle timeout
could end the transaction between two."""


class Session:
    """Transaction whose statements are interrupted by a signal or a stopped run."""

    def __init__(self, link: connection) -> None:
        self._link = link
        self._cursor = link.cursor()
        self._stopped: float | None = None

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    @property
    def version(self) -> int:
        """Major version of the server."""
        return self._link.server_version // 10_000

    def begin(self) -> None:
        newer = "SET LOCAL transaction_timeout = 0" if self.version >= 17 else ""
        self.execute(_BEGIN_SQL + newer)
        set_lock_timeout(self, settings().wait)

    def commit(self) -> None:
        """Commit. Not interruptible."""
        self._cursor.execute("COMMIT")

    def execute(self, sql: str, values: Any = None) -> None:
        interruptible(lambda: self._cursor.execute(sql, values), self._interrupt)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._cursor.fetchone()

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._cursor.fetchall()

    def copy(self, sql: str, feed: Feed) -> None:
        def interrupt() -> None:
            feed.stop()  # libpq reads the server's response only after the last chunk
            self._interrupt()

        interruptible(lambda: self._cursor.copy_expert(sql, feed), interrupt)

    def quoted(self, name: str) -> str:
        return quote_ident(name, self._link)

    def _interrupt(self) -> None:
        if self._stopped is None:
            self._stopped = monotonic()
            Thread(target=self._cancel, daemon=True).start()
        elif monotonic() - self._stopped > CANCEL_TIMEOUT:
            with socket.socket(fileno=socket.dup(self._link.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)

    def _cancel(self) -> None:
        with suppress(psycopg2.Error):
            self._link.cancel()


def set_lock_timeout(db: Session, seconds: float) -> None:
    """Set the lock timeout of the current transaction."""
    milliseconds = max(1, int(seconds * 1000))  # 0 would disable the timeout
    db.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
