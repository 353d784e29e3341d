"""The lock of builds in BigQuery.

Only one MERGE changes the table at a time:
https://cloud.google.com/bigquery/docs/data-manipulation-language#dml-limitations
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from uuid import uuid4

from nyc_taxi.transform.targets.lease import SECONDS, TABLE, held
from nyc_taxi.warehouses.bigquery.dataset import Dataset


def lease(dataset: Dataset) -> AbstractContextManager[None]:
    return held(_Row(dataset))


class _Row:
    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.run = dataset.jobs.query
        self.table = dataset.table(TABLE)
        self.owner = uuid4().hex
        self.run(f"CREATE TABLE IF NOT EXISTS `{self.table}` (owner STRING, until TIMESTAMP)")

    def acquire(self) -> bool:
        self.run(
            f"MERGE INTO `{self.table}` AS held USING (SELECT 1 AS one) AS wanted ON TRUE "
            f"WHEN MATCHED AND held.until < CURRENT_TIMESTAMP() THEN UPDATE SET "
            f"owner = '{self.owner}', until = {_UNTIL} "
            f"WHEN NOT MATCHED THEN INSERT (owner, until) VALUES ('{self.owner}', {_UNTIL})"
        )
        rows = self.dataset.client.query_and_wait(f"SELECT owner FROM `{self.table}`")
        owners = [row[0] for row in rows]
        if owners == [self.owner]:
            return True
        self.release()  # two builds have inserted the first row
        return False

    def renew(self) -> None:
        self.run(f"UPDATE `{self.table}` SET until = {_UNTIL} WHERE owner = '{self.owner}'")

    def release(self) -> None:
        self.run(f"DELETE FROM `{self.table}` WHERE owner = '{self.owner}'")


_UNTIL = f"TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {SECONDS} SECOND)"
