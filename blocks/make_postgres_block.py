"""Save the block `postgres-connector` for the database at POSTGRES_URL (environment or .env).

User and password may instead be set in PGUSER and PGPASSWORD, without URL encoding.
"""

import os
import sys

from nyc_taxi.cli import script

from prefect_sqlalchemy import SqlAlchemyConnector
from pydantic import SecretStr

from nyc_taxi.warehouses.postgres.addresses import BLOCK, components, postgres_url
from nyc_taxi.warehouses.postgres.connection import find_database


def main() -> None:
    parts = components(postgres_url())
    parts.username = parts.username or os.environ.get("PGUSER")
    if parts.password is None and "PGPASSWORD" in os.environ:
        parts.password = SecretStr(os.environ["PGPASSWORD"])
    SqlAlchemyConnector(connection_info=parts).save(BLOCK, overwrite=True)
    database = find_database()
    if database.connector.connection_info.create_url() != parts.create_url():
        sys.exit(f"error: the saved block {BLOCK} has other values than these; rerun this script")
    print(f"block {BLOCK}: PostgreSQL at {database.name}, user {parts.username}")


if __name__ == "__main__":
    script(main)
