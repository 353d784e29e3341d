"""PostgreSQL connections, from a Prefect block or POSTGRES_URL, with one-line errors."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Any

import psycopg2
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from psycopg2.extensions import connection, parse_dsn, quote_ident
from sqlalchemy.engine import URL

from nyc_taxi.cancellation import check_stopped, interruptible
from nyc_taxi.errors import ConnectionLostError, InvalidInputError, LockTimeoutError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.warehouses.postgres.binary_copy import Feed

BLOCK = "postgres-connector"
FROM_ENVIRONMENT = "POSTGRES_URL"
MIN_SERVER_VERSION = 12
"""Oldest supported major version; older ones block readers while a partition is attached."""
CANCEL_TIMEOUT = 1.0
"""Seconds for the server to act on a cancel request before the connection is closed."""
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""Detect a lost server within a minute; the system's default is two hours."""
_TRANSIENT = re.compile(
    r"connection refused|connection reset|closed the connection|connection timed out|"
    r"timeout expired|no such file or directory|network is unreachable|no route to host|"
    r"temporary failure in name resolution|ssl syscall error|ssl connection has been closed|"
    r"starting up|shutting down|recovery mode|accepting connections|terminating connection|"
    r"too many (clients|connections)|connection slots are reserved|"
    r"no more connections allowed|query_wait_timeout|server login has been failing",
    re.IGNORECASE,
)
"""Messages of transient connection failures (libpq, server, PgBouncer; they have no SQLSTATE):
a restart, a failover, too many connections, a network that is down."""
_NO_CERTIFICATE = re.compile(r"certificate|private key", re.IGNORECASE)
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


@dataclass(frozen=True)
class Database:
    connector: SqlAlchemyConnector
    configured_by: str
    """Where the address is configured; named in error messages."""

    @property
    def name(self) -> str:
        """Host, port and database for messages; never the password."""
        url = _url(self.connector)
        host = url.host or url.query.get("host") or "the local socket"
        port = url.port or url.query.get("port")
        return f"{host}{f':{port}' if port else ''}, database {url.database or url.username}"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a transaction and commit it at the end. Turns psycopg2 errors into StorageError."""
        link = self._connect()
        ending = False
        try:
            db = Session(link)
            db.begin()
            yield db
            ending = True
            db.commit()
        except psycopg2.Error as problem:
            check_stopped()  # COPY reports a stop as an input error
            raise self._statement_error(problem, lost=bool(link.closed), ending=ending) from problem
        finally:
            with suppress(psycopg2.Error):
                link.close()

    def run_alone(self, statement: str) -> None:
        """Run a statement that must not be in a transaction, such as VACUUM."""
        link = self._connect()
        try:
            Session(link).execute(statement)
        except psycopg2.Error as problem:
            raise self._statement_error(problem, lost=bool(link.closed), ending=False) from problem
        finally:
            with suppress(psycopg2.Error):
                link.close()

    def check(self) -> None:
        """Connect and check write access. Raises StorageError or InvalidInputError."""
        with self.session() as db:
            self.check_writable(db)

    def check_writable(self, db: Session) -> None:
        """Raise StorageError for a standby, and for a role that is read-only by default."""
        db.execute(
            "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',"
            " current_user, current_database()"
        )
        [(standby, read_only, user, database)] = db.fetchall()
        if standby:
            raise StorageError(
                f"PostgreSQL at {self.name} is a read-only standby; "
                f"point {self.configured_by} to the primary server"
            )
        if read_only:
            raise StorageError(
                f"PostgreSQL at {self.name} is read-only for {user} "
                "(default_transaction_read_only is on); run ALTER ROLE "
                f"{db.quoted(user)} IN DATABASE {db.quoted(database)} "
                "SET default_transaction_read_only = off, or connect as another role"
            )

    def arguments(self) -> dict[str, Any]:
        """Return libpq's parameters of a connection, the password among them."""
        url = _url(self.connector)
        known = url.translate_connect_args(username="user", database="dbname")
        defaults = {"connect_timeout": max(2, int(settings().timeout)), **KEEPALIVE}
        return {**defaults, **known, **url.query, **(self.connector.connect_args or {})}

    def _connect(self) -> connection:
        # Plain psycopg2: SQLAlchemy's pool would keep unused connections open.
        given = self.arguments()
        # COPY sends UTF-8. This parameter overrides PGCLIENTENCODING, role and database defaults
        # and `options`, and PgBouncer supports it.
        given |= {"application_name": "nyc_taxi", "client_encoding": "UTF8"}

        def connect() -> connection:
            opened: connection = psycopg2.connect(**given)
            return opened

        try:
            link = interruptible(connect, lambda: None)
            link.set_client_encoding("UTF8")  # a no-op unless a pooler dropped the parameter
            link.autocommit = True  # otherwise psycopg2 sends BEGIN itself
        except psycopg2.Error as problem:
            raise self._connection_error(problem) from problem
        if link.server_version < MIN_SERVER_VERSION * 10_000:
            found = link.get_parameter_status("server_version")
            link.close()
            raise StorageError(
                f"PostgreSQL at {self.name} is version {found}; "
                f"use version {MIN_SERVER_VERSION} or newer"
            )
        return link

    def _connection_error(self, problem: psycopg2.Error) -> StorageError:
        reason = self._message(problem).rpartition("failed: ")[2].removeprefix("FATAL: ").strip()
        transient = _TRANSIENT.search(reason) and not _NO_CERTIFICATE.search(reason)
        return (ConnectionLostError if transient else StorageError)(
            f"cannot connect to PostgreSQL at {self.name}: {reason}; check {self.configured_by}, "
            "or start a local one with `make postgres`"
        )

    def _statement_error(self, problem: psycopg2.Error, lost: bool, ending: bool) -> StorageError:
        message, code = self._message(problem), problem.pgcode or ""
        outcome = (
            "this was during the commit, so the data may or may not be loaded (a rerun is safe)"
            if ending
            else "nothing was changed"
        )
        if lost or code.startswith("08") or code in ("57P01", "57P02", "57P03", "57P05"):
            return ConnectionLostError(
                f"the connection to PostgreSQL at {self.name} was lost ({message}); {outcome}; "
                "rerun once the server is back"
            )
        if code in ("40P01", "40001"):  # deadlock, serialization failure
            return LockTimeoutError(
                f"PostgreSQL at {self.name} canceled the transaction because it conflicts with "
                f"another session ({message}); nothing was changed; rerun"
            )
        if code == "55P03":  # lock timeout
            return LockTimeoutError(
                f"PostgreSQL at {self.name}: other sessions have locked the table for "
                f"{settings().wait:.0f} s ({message}); close their transactions and rerun"
            )
        if code == "53100":
            return StorageError(
                f"PostgreSQL at {self.name} is out of disk space ({message}); nothing was changed; "
                "free some space there and rerun"
            )
        advice = {
            "22P05": "; load into a database with the encoding UTF8",
            "25006": "; connect to a writable server, with a role that may write",
            "57014": "; rerun",
        }.get(code, "")
        return StorageError(f"PostgreSQL at {self.name}: {message}; nothing was changed{advice}")

    def _message(self, problem: psycopg2.Error) -> str:
        """Return the decisive line of the message, with passwords masked."""
        url = _url(self.connector)
        others = {url.username, url.database, url.host}
        arguments = {**url.query, **(self.connector.connect_args or {})}
        # A host with several addresses gives one line per address; the last one decides.
        failed = [line for line in str(problem).splitlines() if " failed: " in line]
        message = " ".join(failed[-1].split()) if failed else _one_line(problem)
        for secret in (url.password, arguments.get("password"), arguments.get("sslpassword")):
            if secret and str(secret) not in others:
                message = message.replace(str(secret), "***")
        return message


def find_database(block: str = BLOCK) -> Database:
    """Return the database of the block, or the one at POSTGRES_URL if the block does not exist.

    Raises InvalidInputError if there is neither.
    """
    try:
        return Database(SqlAlchemyConnector.load(block), f"the block {block}")
    except ValueError as problem:
        if "Unable to find block document" not in str(problem):
            raise InvalidInputError(
                f"the block {block} is invalid ({_one_line(problem)}); "
                "recreate it: python blocks/make_postgres_block.py"
            ) from problem
    return Database(
        SqlAlchemyConnector(connection_info=components(postgres_url(block))), FROM_ENVIRONMENT
    )


def postgres_url(block: str = BLOCK) -> str:
    url = settings().postgres_url
    if url is None:
        raise InvalidInputError(
            f"there is neither a block {block} nor a POSTGRES_URL; run `make postgres` to start a "
            "local PostgreSQL and create the block, or set POSTGRES_URL=postgresql://"
            "user:password@host:5432/database and run `python blocks/make_postgres_block.py`"
        )
    return url.get_secret_value()


def components(url: str) -> ConnectionComponents:
    """Parse a URL for libpq, or for SQLAlchemy (`postgresql+psycopg2:`).

    A host that starts with a slash is a Unix socket: `postgresql:///ny_taxi?host=/run/postgresql`.
    """
    try:
        parts = parse_dsn(re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url))
        port = int(parts.pop("port", 0)) or None
    except (psycopg2.ProgrammingError, ValueError):
        raise InvalidInputError(  # without libpq's message: it may contain part of the password
            "POSTGRES_URL is not a valid URL; write postgresql://user:password@host:5432/database, "
            "with @ : / % in the password as %40 %3A %2F %25"
        ) from None
    host = parts.pop("host", None)
    query = {}
    if host and not re.fullmatch(r"[\w.-]+", host):  # a socket, or several hosts
        query = {"host": host} | ({"port": str(port)} if port else {})
        host = port = None
    return ConnectionComponents(
        driver=SyncDriver.POSTGRESQL_PSYCOPG2,
        username=parts.pop("user", None),
        password=parts.pop("password", None),
        database=parts.pop("dbname", None),
        host=host,
        port=port,
        query={**parts, **query} or None,
    )


def set_lock_timeout(db: Session, seconds: float) -> None:
    """Set the lock timeout of the current transaction."""
    milliseconds = max(1, int(seconds * 1000))  # 0 would disable the timeout
    db.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])


def _url(connector: SqlAlchemyConnector) -> URL:
    info = connector.connection_info
    parts = info if isinstance(info, ConnectionComponents) else components(str(info))
    url: URL = parts.create_url()
    return url


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).partition("\n")[0].split())
