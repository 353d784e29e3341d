"""Address of a PostgreSQL database: the Prefect block `postgres-connector`, or POSTGRES_URL."""

from __future__ import annotations

import re

import psycopg2
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import URL

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import settings
from nyc_taxi.storage.blocks import find_block

BLOCK = "postgres-connector"
FROM_ENVIRONMENT = "POSTGRES_URL"
_MAKE_BLOCK = "python blocks/make_postgres_block.py"


def find_connector(block: str = BLOCK) -> tuple[SqlAlchemyConnector, str]:
    """Return the block, or a connector for POSTGRES_URL if there is none, and the name of either.

    Raises InvalidInputError if there is neither.
    """
    connector = find_block(SqlAlchemyConnector, block, f"recreate it: {_MAKE_BLOCK}")
    if connector is None:
        parts = components(postgres_url(block))
        return SqlAlchemyConnector(connection_info=parts), FROM_ENVIRONMENT
    name = f"the block {block}"
    if (dialect := url_of(connector, name).get_backend_name()) != "postgresql":
        raise InvalidInputError(
            f"{name} is for {dialect}, not PostgreSQL; recreate it: {_MAKE_BLOCK}"
        )
    return connector, name


def postgres_url(block: str = BLOCK) -> str:
    url = settings().postgres_url
    if url is None:
        raise InvalidInputError(
            f"there is neither a block {block} nor a POSTGRES_URL; run `make postgres` to start a "
            "local PostgreSQL and create the block, or set POSTGRES_URL=postgresql://"
            "user:password@host:5432/database and run `python blocks/make_postgres_block.py`"
        )
    return url.get_secret_value()


def components(url: str, configured_by: str = FROM_ENVIRONMENT) -> ConnectionComponents:
    """Parse a URL for libpq, or for SQLAlchemy (`postgresql+psycopg2:`).

    A host that starts with a slash is a Unix socket: `postgresql:///ny_taxi?host=/run/postgresql`.
    `configured_by`: where the URL comes from, for messages.
    """
    url = re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url.strip())  # secrets often end in a newline
    try:
        parts = parse_dsn(url)
        port = int(parts.pop("port", 0)) or None
    except (psycopg2.ProgrammingError, ValueError) as problem:
        # Not libpq's own message, which may contain part of the password.
        if name := _unknown_parameter(url, str(problem)):
            raise InvalidInputError(
                f"{configured_by} has the parameter {name}, which is not one of libpq's; remove "
                "it, or write libpq's own, such as sslmode=require"
            ) from None
        raise InvalidInputError(
            f"{configured_by} is not a valid URL; write postgresql://user:password@host:5432/"
            "database, with @ : / % in the password as %40 %3A %2F %25"
        ) from None
    host = parts.pop("host", None)
    query = {}
    if host and not re.fullmatch(r"[\w.-]+", host):  # a socket, an IPv6 address, or several hosts
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


def _unknown_parameter(url: str, message: str) -> str | None:
    """Return the name of a parameter that only other clients know, such as Prisma's `pgbouncer`."""
    found = re.search(r'invalid URI query parameter: "(\w+)"', message)
    query = url.rpartition("@")[2].partition("?")[2]  # before the `@` it may be part of a password
    return found[1] if found and f"{found[1]}=" in query else None


def url_of(connector: SqlAlchemyConnector, configured_by: str = FROM_ENVIRONMENT) -> URL:
    info = connector.connection_info
    if not isinstance(info, ConnectionComponents):
        info = components(str(info), configured_by)
    url: URL = info.create_url()
    return url
