"""The lock of builds on Spark: a lock file in a folder of this machine, else a row in Iceberg."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.transform.targets.lease import SECONDS, TABLE, held
from nyc_taxi.warehouses.spark.catalog import Catalog
from nyc_taxi.warehouses.spark.tables import create_schema


def lease(catalog: Catalog) -> AbstractContextManager[None]:
    if catalog.folder:  # the file is released as soon as a build is killed
        return file_lock(catalog.folder / "build")
    return held(_Row(catalog))


class _Row:
    """MERGE is serializable: of two builds that acquire the lock at once, one is repeated."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.table = catalog.table(TABLE)
        self.owner = uuid4().hex

    def acquire(self) -> bool:
        self.catalog.run(lambda spark: create_schema(spark, self.catalog.name))
        self._run(
            f"CREATE TABLE IF NOT EXISTS {self.table} (owner STRING, until TIMESTAMP_NTZ)"
            " USING iceberg"
        )
        now, until = _times()
        self._run(
            f"MERGE INTO {self.table} AS held USING (SELECT '{self.owner}' AS owner) AS new ON true"
            f" WHEN MATCHED AND (held.until < {now} OR held.owner = new.owner)"
            f" THEN UPDATE SET owner = new.owner, until = {until}"
            f" WHEN NOT MATCHED THEN INSERT (owner, until) VALUES (new.owner, {until})"
        )
        found = self.catalog.run(lambda spark: spark.table(self.table).collect())
        return [row["owner"] for row in found] == [self.owner]

    def renew(self) -> None:
        self._run(f"UPDATE {self.table} SET until = {_times()[1]} WHERE owner = '{self.owner}'")

    def release(self) -> None:
        self._run(f"DELETE FROM {self.table} WHERE owner = '{self.owner}'")

    def _run(self, sql: str) -> None:
        self.catalog.run(lambda spark: spark.sql(sql), self.table)


def _times() -> tuple[str, str]:
    """Return the time and the end of the lease, by the clock of this machine (UTC)."""
    now = datetime.now(UTC).replace(tzinfo=None)
    first, last = (f"TIMESTAMP_NTZ '{time}'" for time in (now, now + timedelta(seconds=SECONDS)))
    return first, last
