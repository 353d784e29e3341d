"""Tables in PostgreSQL's catalog: names, columns, privileges and locks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.storage.duckdb_engine import quoted
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.loads import LOADS
from nyc_taxi.warehouses.postgres.session import Session

Columns = dict[str, str]
"""Lower-case column name -> PostgreSQL type."""


@dataclass(frozen=True)
class Table:
    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @staticmethod
    def named(text: str) -> Table:
        """Parse `trips` (schema public) or `schema.trips`. Raises InvalidInputError."""
        schema, _, name = text.rpartition(".")
        table = Table(schema or "public", name)
        parts = (table.schema, name)
        if name == LOADS or not all(re.fullmatch(r"[a-z_][a-z0-9_]{0,39}", p) for p in parts):
            raise InvalidInputError(
                f"{text!r} is not a valid table name; use up to 40 lower-case letters, digits and "
                "_, such as yellow_taxi_trips or myschema.yellow_taxi_trips, and not loads"
            )
        return table

    def partition(self, trips: TripMonth) -> Table:
        return Table(self.schema, f"{self.name}_{trips.first_day:%Y_%m}")


def scalar(db: Session) -> Any:
    row = db.fetchone()
    return row[0] if row else None


def missing_grant(db: Session, schema: str, tables: list[str]) -> str | None:
    """Return the GRANT that the role needs to load months; None if it needs none."""
    db.execute(
        "SELECT current_user, current_database(), to_regnamespace(%s) IS NOT NULL,"
        " has_database_privilege(current_database(), 'CREATE')",
        [quoted(schema)],
    )
    [(user, database, exists, may_create)] = db.fetchall()
    role, name = db.quoted(user), db.quoted(schema)
    if not exists:
        return None if may_create else f"GRANT CREATE ON DATABASE {db.quoted(database)} TO {role}"
    rights = ("USAGE", "CREATE")
    db.execute("SELECT has_schema_privilege(%s, %s), has_schema_privilege(%s, %s)",
               [schema, rights[0], schema, rights[1]])  # fmt: skip
    [has] = db.fetchall()
    if not all(has):
        missing = ", ".join(right for right, held in zip(rights, has, strict=True) if not held)
        return f"GRANT {missing} ON SCHEMA {name} TO {role}"
    # Only the owner may alter a table and attach or drop its partitions.
    db.execute(
        "WITH ours AS (SELECT oid, relowner FROM pg_class WHERE relname = ANY(%s)"
        " AND relnamespace = to_regnamespace(%s))"
        " SELECT pg_get_userbyid(relowner) FROM ("
        "   SELECT relowner FROM ours UNION SELECT c.relowner FROM ours"
        "   JOIN pg_inherits ON inhparent = ours.oid JOIN pg_class c ON c.oid = inhrelid) owners"
        " WHERE NOT pg_has_role(relowner, 'USAGE') ORDER BY 1",
        [tables, quoted(schema)],
    )
    owners = ", ".join(db.quoted(owner) for (owner,) in db.fetchall())
    return f"GRANT {owners} TO {role}" if owners else None


def advisory_lock(db: Session, name: str) -> None:
    """Serialize loads that use the same name until the transaction ends; readers are unaffected."""
    db.execute("SELECT pg_advisory_xact_lock(hashtext('nyc_taxi'), hashtext(%s))", [name])


def create_schema(db: Session, schema: str) -> None:
    advisory_lock(db, schema)
    db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    if scalar(db) is None:
        db.execute(f"CREATE SCHEMA {schema}")


def partitioned_columns(db: Session, table: Table) -> Columns | None:
    """Return the columns of the table; None if it does not exist.

    Raises StorageError for a table that is not partitioned by trip_month.
    """
    oid = find_oid(db, table)
    if oid is None:
        return None
    db.execute(
        "SELECT attname FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid"
        " AND attnum = partattrs[0] WHERE partrelid = %s AND partstrat = 'l' AND partnatts = 1",
        [oid],
    )
    if scalar(db) != "trip_month":
        raise StorageError(
            f"{table} is not partitioned by trip_month, so these flows did not create it; "
            "rename it, or use another table name"
        )
    return attributes(db, table)


def find_oid(db: Session, table: Table) -> int | None:
    # Not to_regclass: the session's catalog cache may miss a table that another one just created.
    db.execute(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = %s AND relname = %s",
        [table.schema, table.name],
    )
    oid: int | None = scalar(db)
    return oid


def attributes(db: Session, table: Table) -> Columns:
    db.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [find_oid(db, table)],
    )
    return dict(db.fetchall())
