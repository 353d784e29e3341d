"""Where the months can be asked: tables `dezoomcamp.<color>_rides` and the view `dezoomcamp.rides`;
and small tables to join them with, such as `dezoomcamp.zones`.

An address is `<module>:<place>`, such as `duckdb:data/warehouse.duckdb` (see nyc_taxi.lakes.base).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.trips.months import TripMonth

DATASET = "dezoomcamp"
Method = Literal["load", "dataframe"]
"""How the rows travel: the file as it is, or by way of pandas as in the course."""


class Warehouse(Protocol):
    """One table per colour, loaded a month at a time, and small tables, replaced whole.

    A month is replaced whole, in one transaction: running a flow again, or retrying half of one,
    leaves the table as one clean run would have.
    """

    reads: tuple[str, ...]
    """The schemes of URLs that it reads by itself, such as `gs`; a file need not come by here."""

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        """Load a conformed file as the month, nulls of the columns in `fill` replaced.

        Columns that the table has not are added to it. Returns the number of rows loaded.
        """

    def replace_table(self, name: str, parquet: Path | str) -> int:
        """Make the table `name` what a small file holds, in one step; returns the rows of it.

        A reader sees the old table or the new one, and its columns are those of the file.
        """

    def count(self, trips: TripMonth) -> int:
        """The rows of the month, 0 where there is no table yet."""

    def check(self) -> str:
        """Say what is there; raises what a user has to mend before months can be loaded."""


def lookup_table_name(name: str) -> str:
    """Return `dezoomcamp.<name>`. Raises InvalidInputError for an invalid or reserved name."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or re.fullmatch(
        r"(\w+_)?rides|loads|staging_.*", name
    ):
        raise InvalidInputError(
            f"a small table cannot be called {name!r}; use up to 40 lower-case letters, digits "
            "and _, and no name that the trips have (rides, yellow_rides, loads), such as zones"
        )
    return f"{DATASET}.{name}"


MAX_EXACT = 2**53
"""All whole numbers up to here are doubles as well."""


def check_names(names: Iterable[str], of: object, is_month: bool = True) -> None:
    """Raise StorageError for names of columns that no warehouse can tell apart or hold."""
    names = list(names)
    folded = Counter(name.lower() for name in names)
    for name in names:
        if folded[name.lower()] > 1:
            problem = "more than once (case does not matter)"
        elif is_month and name.lower() == "trip_month":
            problem = "which is the name of the warehouse's own column"
        elif not name.strip() or not name.isprintable():
            problem = "which is blank or not printable"
        else:
            continue
        raise StorageError(f"{of} has a column {name!r}, {problem}; rename it. Nothing was changed")


def is_declared(trips: TripMonth, name: str, kind: str) -> bool:
    """Whether the type of the column was chosen: by its service, or by a rule.

    Without a rule an undeclared column is never of a small type.
    """
    return trips.service.column(name) is not None or kind in ("SMALLINT", "INTEGER")
