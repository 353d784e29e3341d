"""Build silver and gold aside, test them there, and publish both in one transaction.

Tables are built as `silver.trips_next`. `silver` that has passed its tests is marked as such, and
waits for gold. A month is published only as a whole, its silver together with the gold made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from nyc_taxi.settings import settings
from nyc_taxi.transform.dbt import Dbt, Report
from nyc_taxi.transform.plan import HOURLY, REQUESTED, StaleMonth, find_stale, read_builds
from nyc_taxi.transform.targets.base import SUFFIX
from nyc_taxi.transform.targets.registry import open_target
from nyc_taxi.warehouses.base import DATASET

SilverMode = Literal["incremental", "full"]
GoldMode = Literal["all", "dims", "facts"]
PARTS: dict[GoldMode, tuple[str, ...]] = {
    "all": ("silver", "dims", "facts"),
    "facts": ("silver", "facts"),
    "dims": ("dims",),
}
"""What is published together: tags of the models. What is not among them is read as published."""
AUDITED = f"silver.audited{SUFFIX}"
"""Marks the silver built aside as tested: has one row, the definition."""
ASIDE = f"{DATASET}.built_aside"
"""Names of the tables built aside. Their models may be removed from the project before they are
dropped."""


def open_dbt() -> Dbt:
    return Dbt(open_target(settings().warehouse))


def find_stale_months(
    dbt: Dbt, mode: SilverMode, months: Sequence[str] | None = None
) -> list[StaleMonth]:
    """Return the months to build; of `months` (2021-01) alone, if given. Does not import dbt."""
    warehouse = dbt.target.warehouse
    warehouse.create_loads()
    builds = {} if mode == "full" else read_builds(warehouse)
    stale = find_stale(warehouse.read_loads(), builds, dbt.definition)
    if mode == "full":
        stale = [replace(month, reasons=(REQUESTED,)) for month in stale]
    return [one for one in stale if months is None or f"{one.first_day:%Y-%m}" in months]


def build_silver(dbt: Dbt, months: Sequence[StaleMonth], report: Report) -> None:
    """Build the months aside and test them. Raises TransformError.

    Does nothing if a run that was stopped before gold has left exactly that.
    """
    days = [month.first_day for month in months]
    if not days or _is_staged(dbt, days):
        return
    drop_built_aside(dbt)
    _record_names(dbt)
    dbt.build(["silver"], PARTS["all"], days, report)
    dbt.target.execute(f"CREATE TABLE {AUDITED} AS SELECT '{dbt.definition}' AS definition")


def _is_staged(dbt: Dbt, months: Sequence[date]) -> bool:
    warehouse = dbt.target.warehouse
    if list(read_staged(dbt).months) != months:
        return False
    builds = read_builds(warehouse, SUFFIX)
    stale = find_stale(warehouse.read_loads(), builds, dbt.definition)
    return not {month.first_day for month in stale}.intersection(months)


def drop_built_aside(dbt: Dbt) -> None:
    names = _recorded_names(dbt).union(dbt.tables(PARTS["all"]))
    dbt.target.drop(AUDITED, *sorted(names), ASIDE)


def _recorded_names(dbt: Dbt) -> set[str]:
    return {name for (name,) in dbt.target.warehouse.read_rows(ASIDE, ["name"])}


def _record_names(dbt: Dbt) -> None:
    """Record the names before the tables exist, so that a kill leaves no unknown table."""
    recorded = _recorded_names(dbt)
    names = recorded.union(dbt.tables(PARTS["all"]))
    if names != recorded:
        rows = " UNION ALL ".join(f"SELECT '{name}' AS name" for name in sorted(names))
        dbt.target.drop(ASIDE)
        dbt.target.execute(f"CREATE TABLE {ASIDE} AS {rows}")


@dataclass(frozen=True)
class Staged:
    """Months of silver that have passed their tests and wait for gold."""

    months: tuple[date, ...]
    """Without those whose trips were loaded since silver was built."""
    everything: bool
    """True if no other month is loaded, so that published tables are replaced as a whole."""

    def is_due(self, mode: GoldMode) -> bool:
        """Return whether gold has anything to build; another build may have published it."""
        return bool(self.months) or mode == "dims"


def read_staged(dbt: Dbt) -> Staged:
    warehouse = dbt.target.warehouse
    if warehouse.read_rows(AUDITED, ["definition"]) != [(dbt.definition,)]:
        return Staged((), everything=False)
    builds, loads = read_builds(warehouse, SUFFIX), warehouse.read_loads()
    trips = [load for load in loads if not load.table_name.endswith(HOURLY)]
    changed = {month.first_day for month in find_stale(trips, builds, dbt.definition)}
    months = {source.trip_month for source in builds} - changed
    return Staged(tuple(sorted(months)), everything={load.trip_month for load in loads} <= months)


def build_gold(dbt: Dbt, mode: GoldMode, staged: Staged, report: Report) -> None:
    """Build gold aside and test it. Raises TransformError."""
    gold = [part for part in PARTS[mode] if part != "silver"]
    _record_names(dbt)
    dbt.build(gold, PARTS[mode], staged.months, report)


def publish(dbt: Dbt, mode: GoldMode, staged: Staged) -> None:
    """Replace the months in all published tables, in one transaction. Raises TransformError."""
    dbt.publish(PARTS[mode], None if staged.everything else staged.months)
    if mode != "dims":
        drop_built_aside(dbt)
