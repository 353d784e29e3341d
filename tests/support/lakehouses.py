"""Warehouses with bronze tables and the dbt project on them, with queries that bypass it."""

from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import psycopg2
import pytest
from google.cloud import bigquery
from prefect_gcp import GcpCredentials
from prefect_sqlalchemy import SqlAlchemyConnector

from nyc_taxi.warehouses.bigquery.warehouse import BigQueryWarehouse
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from nyc_taxi.warehouses.postgres.addresses import FROM_ENVIRONMENT, components
from nyc_taxi.warehouses.postgres.connection import Database
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse
from nyc_taxi.warehouses.spark.warehouse import SparkWarehouse
from tests.support.dbt_runs import PROJECT, DbtProject, duckdb_environment, postgres_environment


class Lakehouse(NamedTuple):
    """A warehouse with bronze, and the dbt project on it."""

    dbt: DbtProject
    query: Callable[[str], list[tuple[Any, ...]]]
    execute: Callable[[str], Any]
    columns: Callable[[str], dict[str, str]]
    """Name and type of each column of schema.table."""
    warehouse: Any

    def tables(self) -> list[str]:
        models = (PROJECT / "models").glob("[sg]*/**/*.sql")
        return sorted(f"{m.relative_to(PROJECT / 'models').parts[0]}.{m.stem}" for m in models)

    def rows(self, table: str, without: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a table in a fixed order, without the random ids of loads."""
        left_out = ("load_id", *without)
        columns = ", ".join(name for name in self.columns(table) if name not in left_out)
        found = self.query(f"SELECT {columns} FROM {table}")
        return sorted((tuple(map(_hashable, row)) for row in found), key=repr)

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: self.rows(table) for table in self.tables()}


def _hashable(value: Any) -> Any:
    """Lists as tuples; decimals with two digits, which BigQuery does not keep."""
    if isinstance(value, Decimal):
        return value.quantize(Decimal("0.01"))
    return tuple(value) if isinstance(value, list) else value


def on_duckdb(folder: Path, project: Path = PROJECT) -> Lakehouse:
    path = folder / "warehouse.duckdb"

    def execute(sql: str) -> Any:
        with duckdb.connect(str(path)) as db:
            return db.execute(sql).fetchall()

    def columns(table: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in execute(f"DESCRIBE {table}")}

    dbt = DbtProject(folder, duckdb_environment(path), project)
    return Lakehouse(dbt, execute, execute, columns, DuckDBWarehouse(path))


def on_postgres(folder: Path, url: str) -> Lakehouse:
    def run(sql: str, fetch: bool) -> Any:
        with closing(psycopg2.connect(url)) as link, link, link.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if fetch else None

    def columns(table: str) -> dict[str, str]:
        return dict(
            run(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid"
                f" = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                True,
            )
        )

    connector = SqlAlchemyConnector(connection_info=components(url))
    return Lakehouse(
        DbtProject(folder, postgres_environment(url)),
        lambda sql: run(sql, True),
        lambda sql: run(sql, False),
        columns,
        PostgresWarehouse(Database(connector, FROM_ENVIRONMENT)),
    )


def on_spark(folder: Path, session: Any, name: str) -> Lakehouse:
    """In the catalog `name`, which becomes the session's current one."""
    warehouse = SparkWarehouse.from_address(name)
    session.sql(f"SET CATALOG {name}")

    def query(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in session.sql(sql).collect()]

    def columns(table: str) -> dict[str, str]:
        return {f.name: f.dataType.simpleString() for f in session.table(table).schema.fields}

    dbt = DbtProject(folder, {"NYC_TAXI_DBT_TARGET": "spark"})
    return Lakehouse(dbt, query, query, columns, warehouse)


def name_destinations(patch: pytest.MonkeyPatch) -> None:
    """Name the table of a CREATE TABLE AS: dbt reads it, and BigQuery's emulator does not say."""
    from google.cloud.bigquery.job.query import QueryJob

    named: Any = QueryJob.destination

    def destination(job: Any) -> Any:
        found = named.fget(job)
        return found if getattr(found, "table_id", None) else job.ddl_target_table

    patch.setattr(QueryJob, "destination", property(destination))


def on_bigquery(folder: Path, project: str) -> Lakehouse:
    client = bigquery.Client(project=project)

    def query(sql: str) -> list[tuple[Any, ...]]:
        return [row.values() for row in client.query_and_wait(sql)]

    def columns(table: str) -> dict[str, str]:
        return {f.name: f.field_type for f in client.get_table(f"{project}.{table}").schema}

    environment = {"NYC_TAXI_DBT_TARGET": "bigquery", "NYC_TAXI_DBT_PROJECT": project}
    warehouse = BigQueryWarehouse(GcpCredentials(project=project))
    return Lakehouse(DbtProject(folder, environment), query, query, columns, warehouse)
