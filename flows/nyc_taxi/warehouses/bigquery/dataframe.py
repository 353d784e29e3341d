"""BigQuery warehouse that loads trips through pandas, as the course does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pandas_gbq
from google.cloud.bigquery import Table

from nyc_taxi.cancellation import check_stopped
from nyc_taxi.errors import StorageError
from nyc_taxi.warehouses.bigquery.jobs import CALL_OPTIONS
from nyc_taxi.warehouses.bigquery.warehouse import BigQueryWarehouse
from nyc_taxi.warehouses.registry import open_warehouse

CHUNK_ROWS = 500_000
"""Rows per append, as in the course."""


class BigQueryDataFrameWarehouse(BigQueryWarehouse):
    """Loads the month as one DataFrame: slower and needs more memory than a load job."""

    reads = ()

    def _load_staging_table(self, parquet: Path | str, staging: Table, name: str) -> int:
        for field in staging.schema:
            if not re.fullmatch(r"[A-Za-z_]\w*", field.name, re.ASCII):
                raise StorageError(
                    f"{parquet} has a column {field.name!r}, which would be null when loaded "
                    "from a DataFrame; omit --method"
                )
        # A previous attempt may have appended some chunks.
        self.client.delete_table(staging, **CALL_OPTIONS)
        self.client.create_table(staging, **CALL_OPTIONS)
        # pandas' default types would turn integers with nulls into doubles and lose digits.
        trips = pd.read_parquet(parquet, dtype_backend="numpy_nullable")
        for first in range(0, len(trips), CHUNK_ROWS):
            check_stopped()
            self._send(trips.iloc[first : first + CHUNK_ROWS], staging, if_exists="append")
        return int(self.client.get_table(staging, **CALL_OPTIONS).num_rows)

    def query(self, sql: str) -> pd.DataFrame:
        """Run a query and return its result."""
        with self.dataset.translating_errors():
            return pandas_gbq.read_gbq(
                sql, bigquery_client=self.client, progress_bar_type=None, use_bqstorage_api=False
            )

    def _send(self, frame: pd.DataFrame, table: Table, **how: Any) -> None:
        pandas_gbq.to_gbq(
            frame,
            f"{table.project}.{table.dataset_id}.{table.table_id}",
            table_schema=[field.to_api_repr() for field in table.schema],
            location=self.jobs.location,
            bigquery_client=self.client,
            progress_bar=False,
            **how,
        )


def open_dataframes(address: str) -> BigQueryDataFrameWarehouse:
    return cast(BigQueryDataFrameWarehouse, open_warehouse(address, "dataframe"))
