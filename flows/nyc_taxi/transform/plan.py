"""Which months of silver and gold are stale, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from nyc_taxi.trips.date_ranges import next_month
from nyc_taxi.warehouses.base import Warehouse
from nyc_taxi.warehouses.loads import Load

BUILDS = "month_builds"
"""Table of silver: what each month was built from."""
HOURLY = "_hourly"
"""End of the names of bronze tables whose months are UTC: a month's last evening in New York is in
the next month there."""
REDEFINED = "definition changed"
REQUESTED = "all months are built again"
BATCH_ROWS = 10_000_000
"""Bronze rows that are built and published at a time, unless one month has more."""


@dataclass(frozen=True)
class Source:
    """A month of a bronze table from which a month is built."""

    trip_month: date
    table: str
    source_month: date


@dataclass(frozen=True)
class Build:
    load_id: str
    definition: str


Builds = Mapping[Source, Build]


@dataclass(frozen=True)
class StaleMonth:
    first_day: date
    rows: int
    """Rows of the month in bronze."""
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.first_day:%Y-%m}: {', '.join(self.reasons)}"


def read_builds(warehouse: Warehouse, suffix: str = "") -> Builds:
    """Return what the published months were built from, or with SUFFIX those built aside."""
    columns = ("trip_month", "table_name", "source_month", "load_id", "definition")
    rows = warehouse.read_rows(f"silver.{BUILDS}{suffix}", columns)
    return {Source(*row[:3]): Build(*row[3:]) for row in rows}


def find_stale(loads: Iterable[Load], builds: Builds, definition: str) -> list[StaleMonth]:
    """Compare what is loaded with what was built; oldest month first."""
    loaded: dict[date, list[Load]] = {}
    for load in sorted(loads, key=lambda load: (load.trip_month, load.table_name)):
        loaded.setdefault(load.trip_month, []).append(load)
    stale = []
    for month, own in loaded.items():
        reasons = dict.fromkeys(_reasons(month, own, loaded, builds, definition))
        if reasons:
            stale.append(StaleMonth(month, sum(load.row_count for load in own), tuple(reasons)))
    return stale


def _reasons(
    month: date,
    own: Sequence[Load],
    loaded: Mapping[date, Sequence[Load]],
    builds: Builds,
    definition: str,
) -> Iterator[str]:
    following = loaded.get(next_month(month), ())
    for load in [*own, *(load for load in following if load.table_name.endswith(HOURLY))]:
        build = builds.get(Source(month, load.table_name, load.trip_month))
        name = load.table_name
        if load.trip_month != month:
            name += f" {load.trip_month:%Y-%m}"
        if build is None:
            yield f"{name} never built"
        elif build.load_id != load.load_id:
            yield f"{name} loaded again"
        elif build.definition != definition:
            yield REDEFINED


def batches(months: Sequence[StaleMonth], rows: int = BATCH_ROWS) -> Iterator[list[StaleMonth]]:
    """Group consecutive months into batches of at most `rows` bronze rows, or of one month.

    A changed definition may change the type of a column, so its months are published together.
    """
    together = any({REDEFINED, REQUESTED}.intersection(month.reasons) for month in months)
    batch: list[StaleMonth] = []
    for month in months:
        if batch and not together and sum(one.rows for one in batch) + month.rows > rows:
            yield batch
            batch = []
        batch.append(month)
    if batch:
        yield batch
