"""The dataset in BigQuery: its tables, views and descriptions."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.cloud import bigquery, storage
from google.cloud.bigquery import Table
from prefect_gcp import GcpCredentials

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.errors import StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.google import CONNECT_TIMEOUT, STORAGE_RETRY, translate_google_errors
from nyc_taxi.trips.lookup_tables import LOOKUPS
from nyc_taxi.trips.rides_view import TABLES, rides_views
from nyc_taxi.trips.table_comments import NO_COMMENTS, Comments
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.bigquery.columns import (
    Footer,
    comments_of,
    described,
    read_footer,
)
from nyc_taxi.warehouses.bigquery.jobs import CALL_OPTIONS, Jobs

ROLES = "roles/bigquery.user on the project and roles/bigquery.dataEditor on the dataset"
NEW_TABLE_TIMEOUT = 5
"""Seconds to wait for the columns of a table that is being created."""


class Dataset:
    """`<project>.dezoomcamp`, the jobs on it, and the files that are loaded into it."""

    def __init__(self, credentials: GcpCredentials) -> None:
        self.credentials = credentials
        self.client: bigquery.Client = credentials.get_bigquery_client()
        self.name = f"{self.client.project}.{DATASET}"
        self.jobs = Jobs(self.client, self.name)

    def table(self, name: str) -> str:
        """Return the full name of a table in it."""
        return f"{self.name}.{name}"

    def create(self) -> None:
        try:
            dataset = self.client.get_dataset(self.name, **CALL_OPTIONS)
        except NotFound:
            dataset = bigquery.Dataset(self.name)
            dataset.location = settings().bq_location
            dataset = self.client.create_dataset(dataset, exists_ok=True, **CALL_OPTIONS)
        self.jobs.location = dataset.location

    def find(self, name: str) -> Table | None:
        """Return the table, or None. The emulator shows a new table before its columns exist."""
        deadline = time.monotonic() + NEW_TABLE_TIMEOUT
        while True:
            try:
                found = self.client.get_table(name, **CALL_OPTIONS)
            except NotFound:
                return None
            if found.schema or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def create_table(self, table: Table, comments: Comments) -> Table:
        """Create the table with its descriptions, unless another run does; returns it."""
        name = full_name(table)
        table.schema = described(table.schema, comments)
        table.description = comments.table
        created = self.client.create_table(table, exists_ok=True, **CALL_OPTIONS)
        return self.find(name) or created

    def comment(self, name: str, comments: Comments, found: Table | None = None) -> None:
        """Update the descriptions that differ. BigQuery has no transactions for metadata."""
        deadline = time.monotonic() + settings().wait
        while table := found or self.find(name):
            changes = comments.changes(comments_of(table))
            if changes == NO_COMMENTS:
                return
            table.schema = described(table.schema, changes)
            table.description = changes.table or table.description
            try:
                self.client.update_table(table, ["schema", "description"], **CALL_OPTIONS)
                return
            except GoogleAPICallError:
                found = self._find_view(name)
                changed = not found or found.etag != table.etag  # by another run
                if not changed or time.monotonic() > deadline:
                    raise
            interruptible_sleep(random.uniform(0.1, 1))

    def replace_rides_views(self) -> None:
        """Create or update `rides` and `rides_labeled` over the tables that exist."""
        there = {table.table_id for table in self.client.list_tables(self.name, **CALL_OPTIONS)}
        read = {t: self.find(self.table(t)) for t in there & {*TABLES} - {*LOOKUPS}}
        columns = {
            table: {field.name: field.field_type for field in found.schema}
            for table, found in read.items()
            if found
        }
        lookups: dict[str, dict[str, str]] = {table: {} for table in there & {*LOOKUPS}}
        for view in rides_views(columns | lookups, lambda table: f"`{self.table(table)}`"):
            name = self.table(view.name)
            found = self._find_view(name) if view.name in there else None
            if found and found.table_type != "VIEW":
                raise StorageError(
                    f"{name} is a table, but these flows need the name for a view; rename it"
                )
            if not found or found.view_query != view.query:
                self.jobs.query(f"CREATE OR REPLACE VIEW `{name}` AS {view.query}")
                found = None
            self.comment(name, view.comments, found)

    def footer(self, parquet: Path | str, is_month: bool = True) -> Footer:
        """Read the footer of a local file or a `gs://` URL."""
        with self.open(parquet) as file:
            return read_footer(file, parquet, is_month)

    def open(self, parquet: Path | str) -> BinaryIO:
        if isinstance(parquet, Path):
            return parquet.open("rb")
        client = self.credentials.get_cloud_storage_client()
        blob = storage.Blob.from_uri(parquet, client)
        file: BinaryIO = blob.open(
            "rb", 1 << 20, timeout=(CONNECT_TIMEOUT, 60), retry=STORAGE_RETRY
        )
        return file

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        with translate_google_errors(f"BigQuery, {self.name}", ROLES):
            yield

    def _find_view(self, name: str) -> Table | None:
        """Return None for a broken view too: one of its tables has lost a column."""
        try:
            return self.find(name)
        except BadRequest:
            return None


def full_name(table: Table) -> str:
    return f"{table.project}.{table.dataset_id}.{table.table_id}"
