"""Connections to PostgreSQL, with one-line errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from prefect_sqlalchemy import SqlAlchemyConnector
from psycopg2.extensions import connection
from sqlalchemy.engine import URL

from nyc_taxi.cancellation import check_stopped, interruptible
from nyc_taxi.errors import StorageError
from nyc_taxi.settings import settings
from nyc_taxi.warehouses.postgres.addresses import BLOCK, find_connector, url_of
from nyc_taxi.warehouses.postgres.errors import connection_error, decisive_line, statement_error
from nyc_taxi.warehouses.postgres.session import Session

MIN_SERVER_VERSION = 12
"""Oldest supported major version; older ones block readers while a partition is attached."""
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""Detect a lost server within a minute; the system's default is two hours."""


@dataclass(frozen=True)
class Database:
    connector: SqlAlchemyConnector
    configured_by: str
    """Where the address is configured; named in error messages."""

    @property
    def name(self) -> str:
        """Host, port and database for messages; never the password."""
        url = self._url
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
            raise self._statement_error(problem, link, ending) from problem
        finally:
            with suppress(psycopg2.Error):
                link.close()

    def run_alone(self, statement: str) -> None:
        """Run a statement that must not be in a transaction, such as VACUUM."""
        link = self._connect()
        try:
            Session(link).execute(statement)
        except psycopg2.Error as problem:
            raise self._statement_error(problem, link, ending=False) from problem
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
        url = self._url
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

    @property
    def _url(self) -> URL:
        return url_of(self.connector, self.configured_by)

    def _connection_error(self, problem: psycopg2.Error) -> StorageError:
        return connection_error(self.name, self.configured_by, self._message(problem))

    def _statement_error(
        self, problem: psycopg2.Error, link: connection, ending: bool
    ) -> StorageError:
        return statement_error(
            self.name,
            self._message(problem),
            problem.pgcode or "",
            lost=bool(link.closed),
            ending=ending,
        )

    def _message(self, problem: psycopg2.Error) -> str:
        """Return the decisive line of the message, with passwords masked."""
        url = self._url
        others = {url.username, url.database, url.host}
        arguments = {**url.query, **(self.connector.connect_args or {})}
        message = decisive_line(str(problem))
        for secret in (url.password, arguments.get("password"), arguments.get("sslpassword")):
            if secret and str(secret) not in others:
                message = message.replace(str(secret), "***")
        return message


def find_database(block: str = BLOCK) -> Database:
    """Return the database of the block, or the one at POSTGRES_URL if the block does not exist.

    Raises InvalidInputError if there is neither.
    """
    return Database(*find_connector(block))
