"""BigQuery: dbt runs jobs with the credentials of the block."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nyc_taxi.storage.google import BIGQUERY_RETRY
from nyc_taxi.transform.targets.bigquery_lock import lease
from nyc_taxi.warehouses.bigquery.jobs import CALL_OPTIONS
from nyc_taxi.warehouses.bigquery.warehouse import BigQueryWarehouse


class BigQueryTarget:
    profile = "bigquery"

    @classmethod
    def from_address(cls, block: str) -> BigQueryTarget:
        return cls(BigQueryWarehouse.from_address(block))

    def __init__(self, warehouse: BigQueryWarehouse) -> None:
        self.warehouse = warehouse
        self.dataset = warehouse.dataset
        self.client = warehouse.client
        self.name = self.client.project

    @contextmanager
    def opened(self) -> Iterator[Mapping[str, str]]:
        with self.dataset.translating_errors():
            self.dataset.create()
        location = self.dataset.jobs.location or ""
        place = {
            "NYC_TAXI_DBT_PROJECT": self.client.project,
            "NYC_TAXI_DBT_LOCATION": location,
        }
        yield place | self._key()

    def _key(self) -> dict[str, str]:
        """Return the service account key of the block; without one, dbt finds the machine's."""
        block = self.dataset.credentials
        if block.service_account_info:
            key: dict[str, str] = block.service_account_info.get_secret_value()
        elif block.service_account_file:
            key = json.loads(block.service_account_file.read_text())
        else:
            return {"NYC_TAXI_DBT_METHOD": "oauth"}
        return {
            "NYC_TAXI_DBT_METHOD": "service-account-json",
            "NYC_TAXI_DBT_CLIENT_EMAIL": key["client_email"],
            "NYC_TAXI_DBT_TOKEN_URI": key["token_uri"],
            "DBT_ENV_SECRET_NYC_TAXI_PRIVATE_KEY": key["private_key"],
        }

    @contextmanager
    def lock(self) -> Iterator[None]:
        with self.dataset.translating_errors():
            self.dataset.create()
            with lease(self.dataset):
                yield

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.dataset.translating_errors():
            return [row.values() for row in self.client.query_and_wait(sql, retry=BIGQUERY_RETRY)]

    def execute(self, *statements: str) -> None:
        """Run the statements one by one: BigQuery's transactions take no DDL."""
        with self.dataset.translating_errors():
            for statement in statements:
                self.dataset.jobs.query(statement)

    def drop(self, *tables: str) -> None:
        with self.dataset.translating_errors():
            for table in tables:
                self.client.delete_table(self._full(table), not_found_ok=True, **CALL_OPTIONS)

    def bytes(self, *tables: str) -> int:
        with self.dataset.translating_errors():
            sizes = [
                self.client.get_table(self._full(table), **CALL_OPTIONS).num_bytes
                for table in tables
            ]
            return sum(size or 0 for size in sizes)

    def maintain(self) -> str:
        return "BigQuery maintains its tables itself; staging tables expire after a day"

    def _full(self, table: str) -> str:
        return f"{self.client.project}.{table}"
