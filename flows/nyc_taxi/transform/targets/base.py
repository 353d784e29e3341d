"""What a build needs from a warehouse, apart from its dbt adapter."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from nyc_taxi.warehouses.base import Warehouse

SUFFIX = "_next"
"""Suffix of the tables that are built and tested before they are published: silver.trips_next."""


class Target(Protocol):
    """A warehouse as a place where dbt builds. Methods raise StorageError and its subclasses."""

    profile: str
    """Its output in dbt's profiles.yml."""
    name: str
    """Place of the warehouse: dbt's manifest contains the name of the database."""

    @property
    def warehouse(self) -> Warehouse: ...

    def opened(self) -> AbstractContextManager[Mapping[str, str]]:
        """Reserve what dbt needs, for one invocation; yields the variables of profiles.yml.

        Secrets have names that start with DBT_ENV_SECRET_: dbt neither stores nor logs them.
        """

    def lock(self) -> AbstractContextManager[None]:
        """Serialize the builds of this warehouse.

        Raises LockTimeoutError after NYC_TAXI_WAIT seconds.
        """

    def query(self, sql: str) -> list[tuple[Any, ...]]: ...

    def execute(self, *statements: str) -> None:
        """Run the statements, in one transaction where the warehouse has them for DDL."""

    def drop(self, *tables: str) -> None:
        """Drop the tables that exist."""

    def bytes(self, *tables: str) -> int:
        """Return the size of tables, as stored."""

    def maintain(self) -> str:
        """Free space and refresh what the planner knows; returns what was done."""
