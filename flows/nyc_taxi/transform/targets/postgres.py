"""PostgreSQL: dbt connects on its own, with the parts of the block's or POSTGRES_URL's address."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.tables import advisory_lock
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse

VARIABLES = {
    "host": "NYC_TAXI_DBT_HOST",
    "port": "NYC_TAXI_DBT_PORT",
    "user": "NYC_TAXI_DBT_USER",
    "password": "DBT_ENV_SECRET_NYC_TAXI_PASSWORD",  # pragma: allowlist secret
    "dbname": "NYC_TAXI_DBT_DATABASE",
    "sslmode": "NYC_TAXI_DBT_SSLMODE",
    # libpq reads the others from its own variables.
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
    "client_encoding": "PGCLIENTENCODING",
}
"""Parameter of libpq -> variable of profiles.yml or of libpq."""
LOCK = "build"
"""Name of the advisory lock that serializes builds."""


class PostgresTarget:
    profile = "postgres"

    @classmethod
    def from_address(cls, block: str) -> PostgresTarget:
        target = cls(PostgresWarehouse(find_database(block)))
        name = str(target.database.arguments().get("dbname", ""))
        if re.search("['\"]", name):
            raise InvalidInputError(
                f"dbt cannot build in the database {name}: its name has a quote; rename it, or "
                "load into another database"
            )
        return target

    def __init__(self, warehouse: PostgresWarehouse) -> None:
        self.warehouse = warehouse
        self.database = warehouse.database
        self.name = self.database.name

    @contextmanager
    def opened(self) -> Iterator[Mapping[str, str]]:
        given = self.database.arguments() | {"client_encoding": "UTF8"}
        yield {name: str(given[part]) for part, name in VARIABLES.items() if given.get(part)}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold a transaction open: unlike a session's lock, it works behind a connection pooler."""
        with self.database.session() as db:
            advisory_lock(db, LOCK)
            yield

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.database.session() as db:
            db.execute(sql)
            return db.fetchall()

    def execute(self, *statements: str) -> None:
        with self.database.session() as db:
            for statement in statements:
                db.execute(statement)

    def drop(self, *tables: str) -> None:
        self.execute(*(f"DROP TABLE IF EXISTS {table} CASCADE" for table in tables))

    def bytes(self, *tables: str) -> int:
        sizes = " + ".join(f"pg_total_relation_size('{table}')" for table in tables)
        [(size,)] = self.query(f"SELECT {sizes}")
        return int(size)

    def maintain(self) -> str:
        """Reclaim the rows that DELETE has left in silver, gold and the hourly tables."""
        found = self.query(
            "SELECT format('%I.%I', nspname, relname) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND ("
            f"nspname IN ('silver', 'gold') OR (nspname = '{DATASET}' AND NOT relispartition))"
            " ORDER BY 1"
        )
        for (table,) in found:
            self.database.run_alone(f"VACUUM (ANALYZE) {table}")
        return f"VACUUM (ANALYZE) of {len(found)} tables"
