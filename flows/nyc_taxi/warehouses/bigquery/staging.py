"""Staging tables, and the transaction that replaces a month or a range of hours from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from google.cloud.bigquery import SchemaField, Table

from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.base import MAX_EXACT
from nyc_taxi.warehouses.bigquery.columns import Footer
from nyc_taxi.warehouses.bigquery.dataset import Dataset, full_name
from nyc_taxi.warehouses.bigquery.jobs import CALL_OPTIONS
from nyc_taxi.warehouses.bigquery.loads import delete_sql, insert_sql
from nyc_taxi.warehouses.bigquery.tables import Match
from nyc_taxi.warehouses.hours import LOAD_ID, Hours
from nyc_taxi.warehouses.loads import NewLoad

STAGING_LIFETIME = timedelta(days=1)
"""Expiry of the staging table of a killed run."""


def create_staging_table(dataset: Dataset, columns: list[SchemaField], run: str) -> Table:
    """Create an empty table for the load jobs of a run; it expires."""
    staging = Table(dataset.table(f"staging_{run.replace('-', '_')}"), columns)
    staging.expires = datetime.now(UTC) + STAGING_LIFETIME
    dataset.client.create_table(staging, exists_ok=True, **CALL_OPTIONS)
    return staging


@dataclass(frozen=True)
class Replacement:
    """What a load replaces in a table, and with what."""

    table: str
    """Full name."""
    name: str
    """Name in `loads`."""
    rows: int
    """Number of rows in the file."""
    where: str
    """SQL predicate of the rows to replace."""
    constants: Mapping[str, str]
    """Columns that have one value for the whole load, in SQL."""
    fill: Mapping[str, int]
    """Columns of the file -> value that replaces their nulls."""
    months: Sequence[date]
    """Months in `loads`."""
    rows_of_month: str
    """SQL of the number of rows of `trip_month` after the load."""
    load: NewLoad


def month_replacement(
    table: str, trips: TripMonth, file: Footer, fill: Mapping[str, int]
) -> Replacement:
    month = f"DATE '{trips.first_day}'"
    return Replacement(
        table=table,
        name=f"{trips.color}_rides",
        rows=file.rows,
        where=f"trip_month = {month}",
        constants={"trip_month": month},
        fill=fill,
        months=[trips.first_day],
        rows_of_month=str(file.rows),
        load=NewLoad(file.source_version),
    )


def hours_replacement(table: str, name: str, hours: Hours, file: Footer) -> Replacement:
    load = NewLoad(file.source_version)
    in_month = "DATE_TRUNC(DATE(time_utc), MONTH) = trip_month"
    return Replacement(
        table=table,
        name=name,
        rows=file.rows,
        where=f"time_utc >= DATETIME '{hours.first}' AND time_utc < DATETIME '{hours.last}'",
        constants={LOAD_ID: f"'{load.load_id}'"},
        fill={},
        months=[month.first_day for month in hours.months()],
        rows_of_month=f"(SELECT COUNT(*) FROM `{table}` WHERE {in_month})",
        load=load,
    )


def replace_sql(new: Replacement, loads: str, staging: Table, match: Match) -> str:
    """Return the script that replaces the rows and records the load, in one transaction."""
    source = full_name(staging)
    names = {n: own for n, own in match.names.items() if n.lower() not in new.constants}
    filled = [f"coalesce(`{n}`, {new.fill[n]})" if n in new.fill else f"`{n}`" for n in names]
    columns = ", ".join(f"`{name}`" for name in (*new.constants, *names.values()))
    values = ", ".join((*new.constants.values(), *filled))
    shown = ", ".join(match.doubles).replace("'", "`")
    inexact = [f"`{n}` NOT BETWEEN -{MAX_EXACT} AND {MAX_EXACT}" for n in match.doubles]
    beyond = " OR ".join(inexact) or "FALSE"
    return f"""
        ASSERT NOT EXISTS (SELECT 1 FROM `{source}` WHERE {beyond})
        AS '{new.table} has {shown} as FLOAT64, which cannot store all values of the file exactly';
        BEGIN TRANSACTION;
        {delete_sql(loads, new.name, new.months)};
        DELETE FROM `{new.table}` WHERE {new.where};
        INSERT INTO `{new.table}` ({columns}) SELECT {values} FROM `{source}`;
        ASSERT {new.rows} = (SELECT count(*) FROM `{new.table}` WHERE {new.where})
        AS '{new.table} did not receive {new.rows} rows; nothing was changed';
        {insert_sql(loads, new.name, new.months, new.rows_of_month, new.load)};
        COMMIT TRANSACTION"""
