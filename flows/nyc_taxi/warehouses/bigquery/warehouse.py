"""BigQuery warehouse, given by a GcpCredentials block: `bigquery:zoom-gcp-creds`.

A load job copies the file into a staging table; from a `gs://` URL it does not pass through this
machine. One transaction then replaces the month or the hours in the target table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import Table
from prefect_gcp import GcpCredentials

from nyc_taxi.errors import StorageError
from nyc_taxi.storage.google import BIGQUERY_RETRY, load_google_block
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import NO_COMMENTS, Comments, trips_comments
from nyc_taxi.warehouses.base import DATASET, check_is_ours, is_declared, lookup_table_name
from nyc_taxi.warehouses.bigquery.columns import Footer, comments_of, described, sql_types
from nyc_taxi.warehouses.bigquery.dataset import Dataset, full_name
from nyc_taxi.warehouses.bigquery.jobs import CALL_OPTIONS, job_prefix
from nyc_taxi.warehouses.bigquery.loads import begin_sql, create_loads
from nyc_taxi.warehouses.bigquery.staging import (
    Replacement,
    create_staging_table,
    hours_replacement,
    month_replacement,
    replace_sql,
)
from nyc_taxi.warehouses.bigquery.tables import (
    Match,
    create_or_widen,
    hourly_table,
    trips_table,
)
from nyc_taxi.warehouses.hours import KEY, Hours, check_hours, hourly_table_name
from nyc_taxi.warehouses.loads import COLUMNS, LOADS, Load


class BigQueryWarehouse:
    reads: tuple[str, ...] = ("gs",)

    @classmethod
    def from_address(cls, block: str) -> Self:
        return cls(load_google_block(GcpCredentials, block))

    def __init__(self, credentials: GcpCredentials) -> None:
        self.dataset = Dataset(credentials)
        self.client = self.dataset.client
        self.jobs = self.dataset.jobs

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        run = job_prefix(trips.stem)
        with self.dataset.translating_errors():
            file = self.dataset.footer(parquet)
            table = self.dataset.table(f"{trips.color}_rides")
            new = month_replacement(table, trips, file, fill)
            self.dataset.create()
            create_loads(self.dataset, run)
            match = create_or_widen(
                self.dataset, trips_table(table, trips, file.columns), ["trip_month"],
                trips_comments(trips.color), partial(is_declared, trips), run,
            )  # fmt: skip
            self.dataset.replace_rides_views()
            self._replace(new, parquet, file, match, run)
        return file.rows

    def replace_hours(
        self,
        name: str,
        parquet: Path | str,
        first: datetime,
        last: datetime,
        comments: Comments = NO_COMMENTS,
    ) -> int:
        hours = Hours(first, last)
        run = job_prefix(f"{hourly_table_name(name)}-{first:%Y%m%d%H}-{last:%Y%m%d%H}")
        with self.dataset.translating_errors():
            file = self.dataset.footer(parquet)
            with self.dataset.open(parquet) as opened:
                check_hours(parquet, hours, opened)
            table = self.dataset.table(name)
            new = hours_replacement(table, name, hours, file)
            self.dataset.create()
            create_loads(self.dataset, run)
            match = create_or_widen(
                self.dataset, hourly_table(table, file.columns), KEY, comments,
                lambda name, kind: True, run,
            )  # fmt: skip
            self._replace(new, parquet, file, match, run)
        return file.rows

    def replace_table(
        self, name: str, parquet: Path | str, comments: Comments = NO_COMMENTS
    ) -> int:
        """Replace the table with one WRITE_TRUNCATE load job, which is atomic.

        The job would drop the descriptions of the table's columns, so it is given them again.
        """
        table = Table(f"{self.client.project}.{lookup_table_name(name)}")
        run = job_prefix(name)
        with self.dataset.translating_errors():
            file = self.dataset.footer(parquet, is_month=False)
            self.dataset.create()
            if found := self.dataset.find(full_name(table)):
                check_is_ours(full_name(table), sql_types(found), [file.columns[0].name])
                comments = comments.over(comments_of(found))
            table.schema = described(file.columns, comments)
            loaded = self.jobs.load(parquet, table, f"replace-{run}")
            self.dataset.comment(full_name(table), comments)
            self.dataset.replace_rides_views()
        if loaded != file.rows:
            raise StorageError(f"{name} received {loaded} of {file.rows} rows; rerun")
        return file.rows

    def create_loads(self) -> None:
        with self.dataset.translating_errors():
            self.dataset.create()
            create_loads(self.dataset, job_prefix(LOADS))

    def read_loads(self) -> list[Load]:
        return [Load(*row) for row in self.read_rows(f"{DATASET}.{LOADS}", COLUMNS)]

    def read_rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        name = f"{self.client.project}.{table}"
        with self.dataset.translating_errors():
            if not self.dataset.find(name):
                return []
            query = f"SELECT {', '.join(columns)} FROM `{name}`"
            return [row.values() for row in self.client.query_and_wait(query, retry=BIGQUERY_RETRY)]

    def count(self, trips: TripMonth) -> int:
        table = self.dataset.table(f"{trips.color}_rides")
        query = f"SELECT count(*) FROM `{table}` WHERE trip_month = DATE '{trips.first_day}'"
        with self.dataset.translating_errors():
            if not self.dataset.find(table):
                return 0
            (row,) = self.client.query_and_wait(query, retry=BIGQUERY_RETRY)
        return int(row[0])

    def check(self) -> str:
        with self.dataset.translating_errors():
            self.client.query_and_wait("SELECT 1", retry=BIGQUERY_RETRY)
            try:
                location = self.client.get_dataset(self.dataset.name, **CALL_OPTIONS).location
            except NotFound:
                return f"{self.dataset.name} does not exist yet; the first load creates it"
        return f"{self.dataset.name} exists in {location}"

    def _load_staging_table(self, parquet: Path | str, staging: Table, name: str) -> int:
        """Load the file into the staging table; returns the number of rows."""
        return self.jobs.load(parquet, staging, name)

    def _replace(
        self, new: Replacement, parquet: Path | str, file: Footer, match: Match, run: str
    ) -> None:
        """Load the file into a staging table, then replace the rows in one transaction."""
        loads = self.dataset.table(LOADS)
        staging = create_staging_table(self.dataset, file.columns, run)
        loaded = self._load_staging_table(parquet, staging, f"stage-{run}")
        if loaded != file.rows:
            raise StorageError(
                f"{new.table} received {loaded} of {file.rows} rows; nothing was changed"
            )
        self.jobs.query(begin_sql(loads, new.name, new.months, new.load), f"begin-{run}")
        self.jobs.query(replace_sql(new, loads, staging, match), f"replace-{run}")
        self.client.delete_table(staging, not_found_ok=True, **CALL_OPTIONS)
