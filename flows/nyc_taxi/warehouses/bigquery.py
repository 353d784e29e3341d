"""BigQuery warehouse, given by a GcpCredentials block: `bigquery:zoom-gcp-creds`.

A load job copies the month into a staging table; from a `gs://` URL the file does not pass through
this machine. One transaction then replaces the month in the target table.
"""

from __future__ import annotations

import random
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.cloud import bigquery, storage
from google.cloud.bigquery import LoadJobConfig, SchemaField, Table
from prefect.runtime import task_run
from prefect_gcp import GcpCredentials

from nyc_taxi.cancellation import interruptible_sleep
from nyc_taxi.errors import LockTimeoutError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.google import (
    BIGQUERY_RETRY,
    CHANGE_RETRY,
    CONNECT_TIMEOUT,
    STORAGE_RETRY,
    InterruptibleFile,
    is_concurrent_update,
    is_transient,
    load_block,
    one_line,
    translate_google_errors,
)
from nyc_taxi.trips.comments import NO_COMMENTS, Comments, trips_comments
from nyc_taxi.trips.lookups import LOOKUPS
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.rides_view import TABLES, rides_views
from nyc_taxi.warehouses.base import (
    DATASET,
    MAX_EXACT,
    check_names,
    is_declared,
    lookup_table_name,
)

ROLES = "roles/bigquery.user on the project and roles/bigquery.dataEditor on the dataset"
CALL_OPTIONS: dict[str, Any] = {"retry": CHANGE_RETRY, "timeout": 60}
"""Retry policy and timeout (in seconds) per API call."""
JOB_OPTIONS: dict[str, Any] = {"retry": BIGQUERY_RETRY, "timeout": 60}
STAGING_LIFETIME = timedelta(days=1)
"""Expiry of the staging table of a killed run."""
NEW_TABLE_TIMEOUT = 5
"""Seconds to wait for the columns of a table that is being created."""
UPLOAD_RETRIES = 4
"""Retries per chunk of an upload, about 15 seconds in total."""
POLL_INTERVALS = (0.05, 1.0)
"""Initial and maximum seconds between polls of a job."""
MAX_NAME_LENGTH = 300
"""Maximum characters of a column name."""
_RESERVED_PREFIXES = (
    *("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER"),
    *("_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP"),
)
"""Prefixes that BigQuery reserves in column names, in any case; see also _is_valid_name:
https://cloud.google.com/bigquery/docs/schemas#flexible-column-names"""
_SQL_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""The API's legacy type names -> SQL type names."""
LOADS_SCHEMA = [
    SchemaField("color", "STRING"),
    SchemaField("trip_month", "DATE"),
    SchemaField("trips", "INT64"),
    SchemaField("loaded_at", "TIMESTAMP"),
]
"""Schema of the table `loads`, one row per color and month. Concurrent loads of a month update the
same row, so BigQuery aborts all but one, even if the month had no trips to delete."""


class BigQueryWarehouse:
    reads: tuple[str, ...] = ("gs",)

    @classmethod
    def from_address(cls, block: str) -> Self:
        return cls(load_block(GcpCredentials, block))

    def __init__(self, credentials: GcpCredentials) -> None:
        self.credentials = credentials
        self.client: bigquery.Client = credentials.get_bigquery_client()
        self.dataset = f"{self.client.project}.{DATASET}"
        self.location: str | None = None

    def replace_month(self, trips: TripMonth, parquet: Path | str, fill: Mapping[str, int]) -> int:
        run = _job_prefix(trips.stem)
        with self._translating_errors():
            rows, columns = self._read_footer(parquet)
            self._create_dataset()
            table, names, doubles = self._create_or_widen_table(trips, columns, run)
            self._replace_rides_views(run)
            staging = Table(f"{self.dataset}.staging_{run.replace('-', '_')}", columns)
            staging.expires = datetime.now(UTC) + STAGING_LIFETIME
            self.client.create_table(staging, exists_ok=True, **CALL_OPTIONS)
            loaded = self._load_staging_table(parquet, staging, f"stage-{run}")
            if loaded != rows:
                raise StorageError(f"{table} received {loaded} of {rows} rows; nothing was changed")
            self._replace(trips, table, staging, fill, rows, run, names, doubles)
            self.client.delete_table(staging, not_found_ok=True, **CALL_OPTIONS)
        return rows

    def replace_table(
        self, name: str, parquet: Path | str, comments: Comments = NO_COMMENTS
    ) -> int:
        """Replace the table with one WRITE_TRUNCATE load job, which is atomic.

        The job would drop the descriptions of the table's columns, so it is given them again.
        """
        table = Table(f"{self.client.project}.{lookup_table_name(name)}")
        run = _job_prefix(name)
        with self._translating_errors():
            rows, columns = self._read_footer(parquet, is_month=False)
            self._create_dataset()
            if found := self._find(_full_name(table)):
                comments = comments.over(_comments(found))
            table.schema = _described(columns, comments)
            loaded = self._load(parquet, table, f"replace-{run}")
            self._comment(_full_name(table), comments)
            self._replace_rides_views(run)
        if loaded != rows:
            raise StorageError(f"{name} received {loaded} of {rows} rows; rerun")
        return rows

    def count(self, trips: TripMonth) -> int:
        month = f"trip_month = DATE '{trips.first_day}'"
        query = f"SELECT count(*) FROM `{self._table(trips.color)}` WHERE {month}"
        with self._translating_errors():
            if not self._find(self._table(trips.color)):
                return 0
            (row,) = self.client.query_and_wait(query, retry=BIGQUERY_RETRY)
        return int(row[0])

    def check(self) -> str:
        with self._translating_errors():
            self.client.query_and_wait("SELECT 1", retry=BIGQUERY_RETRY)
            try:
                location = self.client.get_dataset(self.dataset, **CALL_OPTIONS).location
            except NotFound:
                return f"{self.dataset} does not exist yet; the first load creates it"
        return f"{self.dataset} exists in {location}"

    def _load_staging_table(self, parquet: Path | str, staging: Table, name: str) -> int:
        """Load the file into the staging table; returns the number of rows."""
        return self._load(parquet, staging, name)

    def _load(self, parquet: Path | str, table: Table, name: str) -> int:
        """Replace the contents of the table with the file; returns the number of rows."""
        config = LoadJobConfig(
            source_format="PARQUET",
            schema=table.schema,
            write_disposition="WRITE_TRUNCATE",
            # Without V2, BigQuery reads the column `two words` as null.
            column_name_character_map="V2",
        )

        def start(job_id: str) -> Any:
            to = {"destination": table, "job_config": config, **self._job_id_options(job_id)}
            if isinstance(parquet, str):
                return self.client.load_table_from_uri(parquet, **to, **JOB_OPTIONS)
            with InterruptibleFile(parquet) as file:
                return self.client.load_table_from_file(
                    file, **to, size=parquet.stat().st_size, num_retries=UPLOAD_RETRIES, timeout=120
                )

        return int(self._run(start, name).output_rows)

    def _replace(
        self,
        trips: TripMonth,
        table: str,
        staging: Table,
        fill: Mapping[str, int],
        rows: int,
        run: str,
        names: Mapping[str, str],
        doubles: list[str],
    ) -> None:
        """Replace the month from the staging table, in one transaction.

        `names` maps columns of the file to columns of the table. `doubles` lists integer columns
        of the file that are FLOAT64 in the table.
        """
        values = [f"coalesce(`{n}`, {fill[n]})" if n in fill else f"`{n}`" for n in names]
        loads, month = f"{self.dataset}.loads", f"DATE '{trips.first_day}'"
        row = f"color = '{trips.color}' AND trip_month = {month}"
        self.client.create_table(Table(loads, LOADS_SCHEMA), exists_ok=True, **CALL_OPTIONS)
        self._query(
            f"MERGE INTO `{loads}` AS loads USING "
            f"(SELECT '{trips.color}' AS color, {month} AS trip_month) AS new "
            "ON loads.color = new.color AND loads.trip_month = new.trip_month "
            "WHEN NOT MATCHED THEN "
            "INSERT (color, trip_month) VALUES (new.color, new.trip_month)",
            name=f"begin-{run}",
        )
        shown = ", ".join(doubles).replace("'", "`")
        inexact = [f"`{n}` NOT BETWEEN -{MAX_EXACT} AND {MAX_EXACT}" for n in doubles]
        beyond = " OR ".join(inexact) or "FALSE"
        self._query(
            f"""
            ASSERT NOT EXISTS (SELECT 1 FROM `{_full_name(staging)}` WHERE {beyond})
            AS '{table} has {shown} as FLOAT64, which cannot store all values of the file exactly';
            BEGIN TRANSACTION;
            DELETE FROM `{loads}` WHERE {row};
            INSERT INTO `{loads}` (color, trip_month, trips, loaded_at)
            VALUES ('{trips.color}', {month}, {rows}, CURRENT_TIMESTAMP());
            DELETE FROM `{table}` WHERE trip_month = {month};
            INSERT INTO `{table}` (trip_month, {", ".join(f"`{n}`" for n in names.values())})
            SELECT {month}, {", ".join(values)} FROM `{_full_name(staging)}`;
            ASSERT {rows} = (SELECT count(*) FROM `{table}` WHERE trip_month = {month})
            AS '{trips} does not have {rows} rows; nothing was changed';
            COMMIT TRANSACTION""",
            name=f"replace-{run}",
        )

    def _query(self, script: str, name: str) -> None:
        def start(job_id: str) -> Any:
            return self.client.query(
                script, job_retry=None, **self._job_id_options(job_id), **JOB_OPTIONS
            )

        self._run(start, name)

    def _run(self, start: Callable[[str], Any], name: str) -> Any:
        """Run a job exactly once; on Conflict, reattach to the existing job id.

        A transient failure is retried under a new job id, for at most NYC_TAXI_WAIT seconds. So is
        a transaction that BigQuery aborts because of a concurrent one:
        https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
        """
        deadline = time.monotonic() + settings().wait
        attempt = 0
        while True:
            job, problem = self._wait_for_job(start, f"{name}-{attempt}")
            if problem is None:
                return job
            if not (is_concurrent_update(problem) or is_transient(problem)):
                raise problem
            if time.monotonic() > deadline:
                raise LockTimeoutError(f"{self.dataset}: {one_line(problem)}; rerun") from problem
            attempt += 1
            interruptible_sleep(min(attempt, 10) * random.uniform(0.5, 1))

    def _wait_for_job(
        self, start: Callable[[str], Any], job_id: str
    ) -> tuple[Any, Exception | None]:
        """Wait for a job; returns it and its error, if any. Cancels it if the run is stopped."""
        pause, longest = POLL_INTERVALS
        try:
            try:
                job = start(job_id)
            except Conflict:
                job = self.client.get_job(job_id, location=self.location, **CALL_OPTIONS)
            while job.state != "DONE":
                interruptible_sleep(pause)
                pause = min(pause * 1.5, longest)
                job.reload(**JOB_OPTIONS)
        except Exception:
            raise
        except BaseException:
            with suppress(Exception):
                retry = bigquery.DEFAULT_RETRY.with_timeout(2)
                self.client.cancel_job(job_id, location=self.location, retry=retry, timeout=2)
            raise
        return job, job.exception()

    def _job_id_options(self, job_id: str) -> dict[str, Any]:
        return {"job_id": job_id, "location": self.location}

    def _read_footer(
        self, parquet: Path | str, is_month: bool = True
    ) -> tuple[int, list[SchemaField]]:
        """Return the number of rows and the columns of a Parquet file, from its footer.

        Raises StorageError for names and types that BigQuery does not support.
        """
        try:
            with self._open(parquet) as file, pq.ParquetFile(file) as opened:
                rows, schema = opened.metadata.num_rows, opened.schema_arrow
        except pa.ArrowInvalid as problem:
            raise StorageError(f"{parquet} is not a Parquet file: {one_line(problem)}") from problem
        check_names(schema.names, parquet, is_month)
        for name in schema.names:
            if not _is_valid_name(name):
                raise StorageError(
                    f"{parquet} has a column {name!r}; BigQuery allows up to {MAX_NAME_LENGTH} "
                    "letters, digits, _, - and & % = + : ' < > # |, and no name that begins with "
                    f"{', '.join(_RESERVED_PREFIXES)}. Nothing was changed"
                )
        return rows, [SchemaField(field.name, _bigquery_type(field, parquet)) for field in schema]

    def _open(self, parquet: Path | str) -> BinaryIO:
        if isinstance(parquet, Path):
            return parquet.open("rb")
        client = self.credentials.get_cloud_storage_client()
        blob = storage.Blob.from_uri(parquet, client)
        file: BinaryIO = blob.open(
            "rb", 1 << 20, timeout=(CONNECT_TIMEOUT, 60), retry=STORAGE_RETRY
        )
        return file

    def _create_dataset(self) -> None:
        try:
            dataset = self.client.get_dataset(self.dataset, **CALL_OPTIONS)
        except NotFound:
            dataset = bigquery.Dataset(self.dataset)
            dataset.location = settings().bq_location
            dataset = self.client.create_dataset(dataset, exists_ok=True, **CALL_OPTIONS)
        self.location = dataset.location

    def _create_or_widen_table(
        self, trips: TripMonth, columns: list[SchemaField], run: str
    ) -> tuple[str, dict[str, str], list[str]]:
        """Create the color's table, or add the columns it lacks.

        Returns its name, a mapping of the file's columns to its columns, and the integer
        columns of the file that are FLOAT64 in the table.
        """
        name, comments = self._table(trips.color), trips_comments(trips.color)
        found = self._find(name)
        if not found:
            schema = [SchemaField("trip_month", "DATE"), *columns]
            table = Table(name, _described(schema, comments))
            table.description = comments.table
            table.time_partitioning = bigquery.TimePartitioning(type_="MONTH", field="trip_month")
            table.clustering_fields = [trips.service.pickup_zone, trips.service.pickup]
            created = self.client.create_table(table, exists_ok=True, **CALL_OPTIONS)
            found = self._find(name) or created
        have = {
            field.name.lower(): _SQL_TYPES.get(k := field.field_type, k) for field in found.schema
        }
        if "trip_month" not in have:
            raise StorageError(
                f"{name} has no column trip_month, so these flows did not create it; rename it"
            )
        doubles = []
        for field in columns:
            existing, kind = have.get(field.name.lower(), field.field_type), field.field_type
            if existing == kind:
                continue
            declared = is_declared(trips, field.name, kind)
            if declared or (existing, kind) != ("FLOAT64", "INT64"):
                raise StorageError(
                    f"column {field.name} is {existing} in {name} but {kind} in the file; "
                    f"rename the table (ALTER TABLE `{name}` RENAME TO ...) and reload its "
                    "months, or undo the change of type"
                )
            doubles.append(field.name)
        new = [field for field in columns if field.name.lower() not in have]
        if new:
            added = ", ".join(f"ADD COLUMN IF NOT EXISTS `{f.name}` {f.field_type}" for f in new)
            self._query(f"ALTER TABLE `{name}` {added}", f"widen-{run}")
        self._comment(name, comments, None if new else found)
        called = {field.name.lower(): field.name for field in found.schema}
        return name, {f.name: called.get(f.name.lower(), f.name) for f in columns}, doubles

    def _comment(self, name: str, comments: Comments, found: Table | None = None) -> None:
        """Update the descriptions that differ. BigQuery has no transactions for metadata."""
        deadline = time.monotonic() + settings().wait
        while table := found or self._find(name):
            changes = comments.changes(_comments(table))
            if changes == NO_COMMENTS:
                return
            table.schema = _described(table.schema, changes)
            table.description = changes.table or table.description
            try:
                self.client.update_table(table, ["schema", "description"], **CALL_OPTIONS)
                return
            except PreconditionFailed:  # another run has changed the table since it was read
                if time.monotonic() > deadline:
                    raise
            found = None
            interruptible_sleep(random.uniform(0.1, 1))

    def _replace_rides_views(self, run: str) -> None:
        """Create or update `rides` and `rides_labeled` over the tables that exist."""
        there = {table.table_id for table in self.client.list_tables(self.dataset, **CALL_OPTIONS)}
        read = {t: self._find(f"{self.dataset}.{t}") for t in there & {*TABLES} - {*LOOKUPS}}
        columns = {
            table: {field.name: field.field_type for field in found.schema}
            for table, found in read.items()
            if found
        }
        lookups: dict[str, dict[str, str]] = {table: {} for table in there & {*LOOKUPS}}
        for view in rides_views(columns | lookups, lambda table: f"`{self.dataset}.{table}`"):
            name = f"{self.dataset}.{view.name}"
            found = self._find_view(name) if view.name in there else None
            if found and found.table_type != "VIEW":
                raise StorageError(
                    f"{name} is a table, but these flows need the name for a view; rename it"
                )
            if not found or found.view_query != view.query:
                script = f"CREATE OR REPLACE VIEW `{name}` AS {view.query}"
                self._query(script, f"view-{view.name.replace('_', '-')}-{run}")
                found = None
            self._comment(name, view.comments, found)

    def _find_view(self, name: str) -> Table | None:
        """Return None for a broken view too: one of its tables has lost a column."""
        try:
            return self._find(name)
        except BadRequest:
            return None

    def _table(self, color: str) -> str:
        return f"{self.dataset}.{color}_rides"

    def _find(self, name: str) -> Table | None:
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

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        with translate_google_errors(f"BigQuery, {self.dataset}", ROLES):
            yield


def _job_prefix(name: str) -> str:
    """Return a job id prefix that stays the same when Prefect retries the task."""
    return f"{name}-{task_run.id or uuid4()}"


def _full_name(table: Table) -> str:
    return f"{table.project}.{table.dataset_id}.{table.table_id}"


def _comments(table: Table) -> Comments:
    """Return the descriptions of a table or view and all of its columns."""
    columns = {field.name: field.description or "" for field in table.schema}
    return Comments(table.description or "", columns)


def _described(schema: Iterable[SchemaField], comments: Comments) -> list[SchemaField]:
    """Return the columns with these descriptions; the others keep their own."""
    texts = {name.lower(): text for name, text in comments.columns.items() if text}
    return [
        SchemaField.from_api_repr(
            field.to_api_repr()
            | ({"description": texts[name]} if (name := field.name.lower()) in texts else {})
        )
        for field in schema
    ]


def _is_valid_name(name: str) -> bool:
    """Return whether BigQuery allows the column name."""
    kinds = {unicodedata.category(sign) for sign in set(name) - set("&%=+:'<>#| ")}
    allowed = all(kind[0] in "LNM" or kind in ("Pc", "Pd") for kind in kinds)
    return (
        allowed and len(name) <= MAX_NAME_LENGTH and not name.upper().startswith(_RESERVED_PREFIXES)
    )


def _bigquery_type(field: pa.Field, parquet: Path | str) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_decimal(kind):
        digits = kind.precision - kind.scale
        if 0 <= kind.scale <= 9 and digits <= 29:
            return "NUMERIC"
        if 0 <= kind.scale <= 38 and digits <= 38:
            return "BIGNUMERIC"
    kinds: dict[str, Callable[[pa.DataType], bool]] = {
        "INT64": lambda kind: pa.types.is_integer(kind) and kind != pa.uint64(),
        "FLOAT64": pa.types.is_floating,
        "DATETIME": lambda kind: pa.types.is_timestamp(kind) and kind.tz is None,
        "TIMESTAMP": pa.types.is_timestamp,
        "DATE": pa.types.is_date32,
        "BOOL": pa.types.is_boolean,
        "STRING": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    }
    for name, is_kind in kinds.items():
        if is_kind(kind):
            return name
    raise StorageError(
        f"{parquet} has {field.name} as {field.type}, which BigQuery does not support"
    )
