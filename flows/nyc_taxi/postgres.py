"""How to reach a PostgreSQL: a Prefect block, or POSTGRES_URL; and its complaints in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg2
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from psycopg2.extensions import connection, cursor, parse_dsn
from sqlalchemy.engine import URL

from nyc_taxi.errors import BadInput, Busy, ConnectionLost, StoreError
from nyc_taxi.settings import settings

BLOCK = "postgres-connector"
FROM_ENVIRONMENT = "POSTGRES_URL"


@dataclass(frozen=True)
class Database:
    connector: SqlAlchemyConnector
    named_by: str
    """Where its address stands, for who has to mend it."""

    @property
    def name(self) -> str:
        """Host, port and database; never the password."""
        url = _url(self.connector)
        host = url.host or url.query.get("host") or "the local socket"
        port = url.port or url.query.get("port")
        return f"{host}{f':{port}' if port else ''}, database {url.database or url.username}"

    @contextmanager
    def session(self) -> Iterator[cursor]:
        """A transaction, committed at the end of the block. PostgreSQL's complaints become ours."""
        link = self._connect()
        try:
            with link, link.cursor() as db:
                wait_for_locks(db, settings().wait)
                yield db
        except psycopg2.Error as problem:
            raise self._explained(problem, lost=bool(link.closed)) from problem
        finally:
            with suppress(psycopg2.Error):
                link.close()

    def reach(self) -> None:
        """Raise what would be raised later, before there is work to lose."""
        with self.session():
            pass

    def _connect(self) -> connection:
        url = _url(self.connector)
        # psycopg2 itself: SQLAlchemy's pool would hold connections that nobody uses again.
        known = url.translate_connect_args(username="user", database="dbname")
        try:
            link: connection = psycopg2.connect(
                **{**known, **url.query, **(self.connector.connect_args or {})},
                application_name="nyc_taxi",
            )
            return link
        except psycopg2.Error as problem:
            reason = _one_line(problem).rpartition("failed: ")[2].removeprefix("FATAL: ").strip()
            kind = ConnectionLost if "starting up" in reason else StoreError
            raise kind(
                f"cannot connect to PostgreSQL at {self.name}: {reason}; check {self.named_by}, "
                "or start one here with `make postgres`"
            ) from problem

    def _explained(self, problem: psycopg2.Error, lost: bool) -> StoreError:
        said = _one_line(problem)
        if lost:
            return ConnectionLost(
                f"PostgreSQL at {self.name} went away ({said}); nothing was changed, "
                "run this again once it is back"
            )
        if problem.pgcode in ("55P03", "40P01"):  # a lock was not to be had, or a deadlock
            return Busy(
                f"PostgreSQL at {self.name}: others have held the table for "
                f"{settings().wait:.0f} s ({said}); close their transactions and run this again"
            )
        if problem.pgcode == "53100":
            return StoreError(
                f"PostgreSQL at {self.name} has no room left ({said}); nothing was changed, "
                "make room there and run this again"
            )
        return StoreError(f"PostgreSQL at {self.name}: {said}; nothing was changed")


def find_database(block: str = BLOCK) -> Database:
    """What the block says; where there is no such block, what POSTGRES_URL says."""
    try:
        return Database(SqlAlchemyConnector.load(block), f"the block {block}")
    except ValueError as problem:
        if "Unable to find block document" not in str(problem):
            raise BadInput(
                f"the block {block} cannot be used ({_one_line(problem)}); "
                "make it anew with `python blocks/make_postgres_block.py`"
            ) from problem
    return Database(
        SqlAlchemyConnector(connection_info=components(postgres_url(block))), FROM_ENVIRONMENT
    )


def postgres_url(block: str = BLOCK) -> str:
    url = settings().postgres_url
    if url is None:
        raise BadInput(
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
        raise BadInput(  # without libpq's words: they may hold a piece of the password
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


def wait_for_locks(db: cursor, seconds: float) -> None:
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
