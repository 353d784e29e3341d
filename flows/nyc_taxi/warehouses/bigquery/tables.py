"""Tables that are loaded by month or by hour: their shape, and the columns that they lack."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.cloud.bigquery import SchemaField, Table, TimePartitioning

from nyc_taxi.errors import StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.base import check_is_ours
from nyc_taxi.warehouses.bigquery.columns import sql_types
from nyc_taxi.warehouses.bigquery.dataset import Dataset, full_name
from nyc_taxi.warehouses.hours import LOAD_ID


@dataclass(frozen=True)
class Match:
    """How the columns of a file fit the columns of a table."""

    names: dict[str, str]
    """The file's spelling of a column -> the table's."""
    doubles: list[str]
    """Integer columns of the file that are FLOAT64 in the table."""


def trips_table(name: str, trips: TripMonth, columns: list[SchemaField]) -> Table:
    """Return the table of a color as it is created."""
    table = Table(name, [SchemaField("trip_month", "DATE"), *columns])
    table.time_partitioning = TimePartitioning(type_="MONTH", field="trip_month")
    table.clustering_fields = [trips.service.pickup_zone, trips.service.pickup]
    return table


def hourly_table(name: str, columns: list[SchemaField]) -> Table:
    """Return an hourly table as it is created."""
    given = [column for column in columns if column.name.lower() != LOAD_ID]
    table = Table(name, [*given, SchemaField(LOAD_ID, "STRING")])
    table.time_partitioning = TimePartitioning(type_="MONTH", field="time_utc")
    table.clustering_fields = ["location"]
    return table


def create_or_widen(
    dataset: Dataset,
    table: Table,
    key: Iterable[str],
    comments: Comments,
    is_declared: Callable[[str, str], bool],
    run: str,
) -> Match:
    """Create the table, or add the columns it lacks.

    Only an undeclared column may be FLOAT64 where the file has integers. Raises StorageError for
    another type, or a table without `key`.
    """
    name, columns = full_name(table), list(table.schema)
    found = dataset.find(name) or dataset.create_table(table, comments)
    have = sql_types(found)
    check_is_ours(name, have, key)
    doubles = []
    for column in columns:
        existing, kind = have.get(column.name.lower(), column.field_type), column.field_type
        if existing == kind:
            continue
        if is_declared(column.name, kind) or (existing, kind) != ("FLOAT64", "INT64"):
            raise StorageError(
                f"column {column.name} is {existing} in {name} but {kind} in the file; "
                f"rename the table (ALTER TABLE `{name}` RENAME TO ...) and reload its "
                "months, or undo the change of type"
            )
        doubles.append(column.name)
    new = [column for column in columns if column.name.lower() not in have]
    if new:
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS `{f.name}` {f.field_type}" for f in new)
        dataset.jobs.query(f"ALTER TABLE `{name}` {added}", f"widen-{run}")
    dataset.comment(name, comments, None if new else found)
    spelled = {f.name.lower(): f.name for f in found.schema}
    return Match({f.name: spelled.get(f.name.lower(), f.name) for f in columns}, doubles)
