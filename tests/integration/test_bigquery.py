"""Behavior specific to BigQuery; the shared contract is in tests/contract/test_warehouses.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud import bigquery
from prefect import flow, task
from prefect_gcp import GcpCredentials

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.transform.targets.bigquery import BigQueryTarget
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.bigquery.dataset import Dataset
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.month_loads import FILL

YELLOW = TripMonth("yellow", 2021, 1)


class TestWarehouse:
    @pytest.fixture
    def trips(self, month_file: Callable[..., Path], tmp_path: Path) -> Path:
        return conform(YELLOW, month_file(YELLOW, 5000)).write(tmp_path / "clean.parquet").path

    def test_load_creates_a_partitioned_and_clustered_table(
        self, bigquery_block: str, trips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_BQ_LOCATION", "EU")
        open_warehouse(f"bigquery:{bigquery_block}").replace_month(YELLOW, trips, FILL)
        client = bigquery.Client(project=bigquery_block)
        assert client.get_dataset("dezoomcamp").location == "EU"
        table = client.get_table("dezoomcamp.yellow_rides")
        assert (table.time_partitioning.type_, table.time_partitioning.field) == (
            "MONTH",
            "trip_month",
        )
        assert table.clustering_fields == ["PULocationID", "tpep_pickup_datetime"]
        kinds = {field.name: field.field_type for field in table.schema}
        assert kinds["tpep_pickup_datetime"] == "DATETIME"
        assert (kinds["passenger_count"], kinds["total_amount"]) == ("INTEGER", "FLOAT")
        left = {table.table_id for table in client.list_tables("dezoomcamp")}
        assert left == {"yellow_rides", "rides", "loads"}

    def test_second_statement_of_a_task_runs_too(self, bigquery_block: str) -> None:
        """BigQuery answers the id of an earlier job with that job: the statement would not run."""
        target = BigQueryTarget.from_address(bigquery_block)

        @task
        def create() -> None:
            for _ in range(2):
                target.drop("dezoomcamp.marks")
                target.execute("CREATE TABLE dezoomcamp.marks AS SELECT 1 AS mark")

        @flow
        def create_again() -> None:
            create()

        target.warehouse.create_loads()
        create_again()
        assert target.warehouse.read_rows("dezoomcamp.marks", ["mark"]) == [(1,)]

    @pytest.mark.slow
    def test_comments_of_a_view_that_another_run_replaced(self, bigquery_block: str) -> None:
        dataset = Dataset(GcpCredentials.load(bigquery_block))
        dataset.create()
        view = dataset.table("rides")
        dataset.client.query_and_wait(f"CREATE VIEW `{view}` AS SELECT 1 AS a, 2 AS b")
        seen = dataset.find(view)
        dataset.client.query_and_wait(f"CREATE OR REPLACE VIEW `{view}` AS SELECT 1 AS a")
        dataset.comment(view, Comments("Rides.", {"a": "First."}), seen)
        found = dataset.client.get_table(view)
        assert (found.description, found.schema[0].description) == ("Rides.", "First.")

    @pytest.mark.slow
    def test_retried_task_reattaches_to_its_jobs(
        self, bigquery_block: str, trips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when the response to the last statement was lost."""
        monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__ID", "one-run")
        client = bigquery.Client(project=bigquery_block)
        jobs = []
        for _ in range(2):
            warehouse = open_warehouse(f"bigquery:{bigquery_block}")
            assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
            jobs.append({j.job_id for j in client.list_jobs() if "yellow" in j.job_id})
        assert jobs[0] == jobs[1]
        assert warehouse.count(YELLOW) == 5000

    @pytest.mark.slow
    def test_load_by_dataframe_is_idempotent(self, bigquery_block: str, trips: Path) -> None:
        warehouse = open_warehouse(f"bigquery:{bigquery_block}", "dataframe")
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
        assert warehouse.count(YELLOW) == 5000
        with pytest.raises(InvalidInputError, match="only BigQuery supports --method dataframe"):
            open_warehouse("duckdb:some.duckdb", "dataframe")

    def test_load_rejects_a_table_named_rides(self, bigquery_block: str, trips: Path) -> None:
        client = bigquery.Client(project=bigquery_block)
        client.query_and_wait("CREATE SCHEMA dezoomcamp")
        client.query_and_wait("CREATE TABLE dezoomcamp.rides (a INT64)")
        warehouse = open_warehouse(f"bigquery:{bigquery_block}")
        with pytest.raises(StorageError, match="rides is a table"):
            warehouse.replace_month(YELLOW, trips, FILL)
        assert warehouse.count(YELLOW) == 0

    @pytest.mark.slow
    def test_load_waits_for_the_columns_of_a_new_table(
        self, bigquery_block: str, trips: Path
    ) -> None:
        client = bigquery.Client(project=bigquery_block)
        client.create_dataset("dezoomcamp")
        client.create_table(f"{bigquery_block}.dezoomcamp.yellow_rides")
        warehouse = open_warehouse(f"bigquery:{bigquery_block}")
        with pytest.raises(StorageError, match="yellow_rides has no column trip_month"):
            warehouse.replace_month(YELLOW, trips, FILL)
        threading.Timer(1, client.delete_table, ["dezoomcamp.yellow_rides"]).start()
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
