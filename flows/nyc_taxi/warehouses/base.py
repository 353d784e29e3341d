"""The warehouse: tables `dezoomcamp.<color>_rides`, the view `rides`, hourly and lookup tables.

An address is `<kind>:<path or Prefect block>`, such as `duckdb:data/warehouse.duckdb`. The kind is
a key of registry.WAREHOUSES. An address never contains a credential.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import NO_COMMENTS, Comments
from nyc_taxi.warehouses.loads import Load

DATASET = "dezoomcamp"
Method = Literal["load", "dataframe"]
"""How rows are loaded: the Parquet file directly, or through pandas, as in the course."""


class Warehouse(Protocol):
    """One table per color, loaded month by month; hourly tables; lookup tables such as `zones`.

    Every write is atomic and idempotent: it replaces its month, its hours or its lookup table as a
    whole, so a rerun, even after a crash, gives the result of one clean run. A load of a month or
    of hours is recorded in the table `loads`, in the same transaction.
    """

    reads: tuple[str, ...]
    """URL schemes that the warehouse reads directly, such as `gs`."""

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        """Replace the month with the rows of a conformed file; returns the number of rows.

        `fill` maps columns to the value that replaces their nulls. Missing columns are added to
        the table. Raises StorageError for a type that the table's column cannot hold.
        """

    def replace_table(
        self, name: str, parquet: Path | str, comments: Comments = NO_COMMENTS
    ) -> int:
        """Replace the lookup table `name`, including its columns; returns the number of rows.

        Writes `comments`, and keeps the comments on other columns.
        """

    def replace_hours(
        self,
        name: str,
        parquet: Path | str,
        first: datetime,
        last: datetime,
        comments: Comments = NO_COMMENTS,
    ) -> int:
        """Replace the hours from `first` up to `last`, which is not included, of all locations.

        `first` and `last` are whole hours in UTC, without a zone. The file has `location`,
        `time_utc` and any other columns; missing ones are added to the table `name`, and
        `load_id` is set to the one in `loads`. Returns the number of rows. Raises StorageError for
        a type other than the column's, an hour outside the range, or one that occurs twice.
        """

    def create_loads(self) -> None:
        """Create the table `loads`, if it is missing, with the months that are there."""

    def read_loads(self) -> list[Load]:
        """Return the last load of each month of each table; none if there is no table `loads`."""

    def read_rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return columns of a small table or view such as `silver.month_builds`; no rows if it
        does not exist.
        """

    def count(self, trips: TripMonth) -> int:
        """Return the number of rows of the month; 0 if the table does not exist."""

    def check(self) -> str:
        """Check that months can be loaded. Returns a status line; raises NycTaxiError."""


def lookup_table_name(name: str) -> str:
    """Return `dezoomcamp.<name>`. Raises InvalidInputError for an invalid or reserved name."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or re.fullmatch(
        r"(\w+_)?rides(_labeled)?|loads|staging_.*|\w+_hourly", name
    ):
        raise InvalidInputError(
            f"{name!r} is not a valid name for a lookup table; use up to 40 lower-case letters, "
            "digits and _, such as zones, and no reserved name (rides, yellow_rides, loads)"
        )
    return f"{DATASET}.{name}"


def check_is_ours(table: object, have: Iterable[str], needed: Iterable[str]) -> None:
    """Raise StorageError for a table without the columns that these flows give it."""
    columns = {name.lower() for name in have}
    if missing := [name for name in needed if name.lower() not in columns]:
        raise StorageError(
            f"{table} has no column {missing[0]}, so these flows did not create it; rename it"
        )


MAX_EXACT = 2**53
"""Largest n for which a double represents every integer from -n to n exactly."""


def check_names(names: Iterable[str], of: object, is_month: bool = True) -> None:
    """Raise StorageError for column names that are ambiguous, reserved, blank or unprintable."""
    names = list(names)
    folded = Counter(name.lower() for name in names)
    for name in names:
        if folded[name.lower()] > 1:
            problem = "which occurs more than once (names are case-insensitive)"
        elif is_month and name.lower() == "trip_month":
            problem = "which is reserved for the month of the file"
        elif not name.strip() or not name.isprintable():
            problem = "which is blank or not printable"
        else:
            continue
        raise StorageError(f"{of} has a column {name!r}, {problem}; rename it. Nothing was changed")


def is_declared(trips: TripMonth, name: str, kind: str) -> bool:
    """Return whether the column's type is declared, in the schema of the color or by a rule.

    SMALLINT and INTEGER are only ever chosen by a rule.
    """
    return trips.service.column(name) is not None or kind in ("SMALLINT", "INTEGER")
