"""How to reach a PostgreSQL: a Prefect block, or POSTGRES_URL; and its complaints in one line."""

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
"""Major version: older ones lock a partitioned table's readers out while a month is attached."""
CANCEL_TIMEOUT = 1.0
"""Seconds for the server to react to a cancel request before the connection is cut."""
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""Notice within a minute that the server is gone; the system's default is two hours."""
_TRANSIENT = re.compile(
    r"connection refused|connection reset|closed the connection|connection timed out|"
    r"timeout expired|no such file or directory|network is unreachable|no route to host|"
    r"temporary failure in name resolution|ssl syscall error|ssl connection has been closed|"
    r"starting up|shutting down|recovery mode|accepting connections|terminating connection|"
    r"too many (clients|connections)|connection slots are reserved|"
    r"no more connections allowed|query_wait_timeout|server login has been failing",
    re.IGNORECASE,
)
"""What libpq, the server and PgBouncer say of a failed connection (there is no SQLSTATE then) that
may succeed in a few seconds: a restart, a failover, a full server, a network that is down."""
_NO_CERTIFICATE = re.compile(r"certificate|private key", re.IGNORECASE)
_BEGIN_SQL = """BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off;
SET LOCAL quote_all_identifiers = off;"""
"""Whatever a role or a database has by default: a load takes as long as it takes, no object takes
the place of one of the catalog's, no row is hidden, and the names of types are plain. In one
message, since an idle timeout could end the transaction between two messages."""


class Session:
    """A transaction whose statements a signal, or a stopped run, interrupts."""

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
        """Not interruptible: once asked for, a commit happens."""
        self._cursor.execute("COMMIT")

    def execute(self, sql: str, values: Any = None) -> None:
        interruptible(lambda: self._cursor.execute(sql, values), self._interrupt)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._cursor.fetchone()

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._cursor.fetchall()

    def copy(self, sql: str, feed: Feed) -> None:
        def interrupt() -> None:
            feed.stop()  # libpq does not look for the server's answer before the last chunk
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
    """Where its address stands, for who has to mend it."""

    @property
    def name(self) -> str:
        """Host, port and database; never the password."""
        url = _url(self.connector)
        host = url.host or url.query.get("host") or "the local socket"
        port = url.port or url.query.get("port")
        return f"{host}{f':{port}' if port else ''}, database {url.database or url.username}"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction, committed at the end of the block. PostgreSQL's complaints become ours."""
        link = self._connect()
        ending = False
        try:
            db = Session(link)
            db.begin()
            yield db
            ending = True
            db.commit()
        except psycopg2.Error as problem:
            check_stopped()  # COPY reports it as an error of its input
            raise self._statement_error(problem, lost=bool(link.closed), ending=ending) from problem
        finally:
            with suppress(psycopg2.Error):
                link.close()

    def check(self) -> None:
        """Raise what would be raised later, before there is work to lose."""
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
                f"set {self.configured_by} to the primary server"
            )
        if read_only:
            raise StorageError(
                f"PostgreSQL at {self.name} is read-only for {user} "
                "(default_transaction_read_only is on); run ALTER ROLE "
                f"{db.quoted(user)} IN DATABASE {db.quoted(database)} "
                "SET default_transaction_read_only = off, or connect as another role"
            )

    def _connect(self) -> connection:
        url = _url(self.connector)
        # psycopg2 itself: SQLAlchemy's pool would hold connections that nobody uses again.
        known = url.translate_connect_args(username="user", database="dbname")
        patience = {"connect_timeout": max(2, int(settings().timeout)), **KEEPALIVE}
        given = {**patience, **known, **url.query, **(self.connector.connect_args or {})}
        # COPY sends UTF-8. A separate parameter takes precedence over PGCLIENTENCODING, over the
        # defaults of role and database, and over `options`; PgBouncer knows this one.
        given |= {"application_name": "nyc_taxi", "client_encoding": "UTF8"}

        def connect() -> connection:
            made: connection = psycopg2.connect(**given)
            return made

        try:
            link = interruptible(connect, lambda: None)
            link.set_client_encoding("UTF8")  # does nothing unless a pooler lost the parameter
            link.autocommit = True  # psycopg2 would begin by itself
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
            "or start one here with `make postgres`"
        )

    def _statement_error(self, problem: psycopg2.Error, lost: bool, ending: bool) -> StorageError:
        said, code = self._message(problem), problem.pgcode or ""
        unchanged = "whether it committed is unknown" if ending else "nothing was changed"
        if lost or code.startswith("08") or code in ("57P01", "57P02", "57P03", "57P05"):
            return ConnectionLostError(
                f"PostgreSQL at {self.name} went away ({said}); {unchanged}, "
                "run this again once it is back"
            )
        if code in ("55P03", "40P01", "40001"):  # a lock not to be had, a deadlock, a conflict
            return LockTimeoutError(
                f"PostgreSQL at {self.name}: others have held the table for "
                f"{settings().wait:.0f} s ({said}); close their transactions and run this again"
            )
        if code == "53100":
            return StorageError(
                f"PostgreSQL at {self.name} has no room left ({said}); nothing was changed, "
                "make room there and run this again"
            )
        advice = {
            "22P05": ", load into a database with the encoding UTF8",
            "25006": ", connect to a server and with a role that may write",
            "57014": ", run this again",
        }.get(code, "")
        return StorageError(f"PostgreSQL at {self.name}: {said}; nothing was changed{advice}")

    def _message(self, problem: psycopg2.Error) -> str:
        """The line of the message that counts, without what is secret of the address."""
        url = _url(self.connector)
        others = {url.username, url.database, url.host}
        arguments = {**url.query, **(self.connector.connect_args or {})}
        # A host of several addresses has a line for each: the last one was decisive.
        failed = [line for line in str(problem).splitlines() if " failed: " in line]
        said = " ".join(failed[-1].split()) if failed else _one_line(problem)
        for secret in (url.password, arguments.get("password"), arguments.get("sslpassword")):
            if secret and str(secret) not in others:
                said = said.replace(str(secret), "***")
        return said


def find_database(block: str = BLOCK) -> Database:
    """What the block says; where there is no such block, what POSTGRES_URL says."""
    try:
        return Database(SqlAlchemyConnector.load(block), f"the block {block}")
    except ValueError as problem:
        if "Unable to find block document" not in str(problem):
            raise InvalidInputError(
                f"the block {block} cannot be used ({_one_line(problem)}); "
                "make it anew with `python blocks/make_postgres_block.py`"
            ) from problem
    return Database(
        SqlAlchemyConnector(connection_info=components(postgres_url(block))), FROM_ENVIRONMENT
    )


def postgres_url(block: str = BLOCK) -> str:
    url = settings().postgres_url
    if url is None:
        raise InvalidInputError(
            f"there is neither a block {block} nor a POSTGRES_URL; `make postgres` starts a "
            "PostgreSQL here and makes the block, or set POSTGRES_URL=postgresql://"
            "user:password@host:5432/database and run `python blocks/make_postgres_block.py`"
        )
    return url.get_secret_value()


def components(url: str) -> ConnectionComponents:
    """The parts of a URL, as libpq reads it; `postgresql+psycopg2:` is SQLAlchemy's way to say it.

    A Unix socket is a host that starts with a slash: `postgresql:///ny_taxi?host=/run/postgresql`.
    """
    try:
        parts = parse_dsn(re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url))
        port = int(parts.pop("port", 0)) or None
    except (psycopg2.ProgrammingError, ValueError):
        raise InvalidInputError(  # without libpq's words: they may hold a piece of the password
            "POSTGRES_URL cannot be read; write postgresql://user:password@host:5432/database, "
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
    """How long the transaction waits for a lock before it gives up."""
    milliseconds = max(1, int(seconds * 1000))  # 0 would mean for ever
    db.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])


def _url(connector: SqlAlchemyConnector) -> URL:
    info = connector.connection_info
    parts = info if isinstance(info, ConnectionComponents) else components(str(info))
    url: URL = parts.create_url()
    return url


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).partition("\n")[0].split())
