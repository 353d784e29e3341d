"""Emulators that are killed during a load: a one-line error within a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_gcp.cloud_storage import GcsBucket

from local_services import Service, client_environment, gcs, running
from local_services import bigquery as bigquery_emulator
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import StorageError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.month_loads import FILL

YELLOW = TripMonth("yellow", 2021, 1)


class TestLostConnection:
    """An emulator that is killed during a load: a one-line error within a minute."""

    @pytest.mark.slow
    def test_gcs_upload_reports_a_lost_connection(
        self,
        gcs_block: Callable[[], str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"0123456789abcdef" * 8_000_000)
        with running(gcs(tmp_path, bucket="own")) as server:
            for name, value in client_environment(server, None).items():
                monkeypatch.setenv(name, value)
            GcsBucket(bucket="own").save("own")
            lake = open_lake("gcs:own")
            began = self.kill_after(1, server)
            with pytest.raises(StorageError, match=r"gs://own did not respond.*rerun"):
                lake.put(file, YELLOW.key)
            assert time.monotonic() - began < 60

    @pytest.mark.slow
    def test_bigquery_load_reports_a_lost_connection(
        self,
        bigquery_block: str,
        month_file: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        trips = conform(YELLOW, month_file(YELLOW, 600_000)).write(tmp_path / "trips.parquet").path
        with running(bigquery_emulator(tmp_path)) as server:
            monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
            warehouse = open_warehouse(f"bigquery:{bigquery_block}")
            began = self.kill_after(0.7, server)
            with pytest.raises(StorageError, match=r"BigQuery, .* did not respond.*rerun"):
                warehouse.replace_month(YELLOW, trips, FILL)
            assert time.monotonic() - began < 60

    @staticmethod
    def kill_after(seconds: float, server: Service) -> float:
        process = server.process()
        assert process
        threading.Timer(seconds, process.kill).start()
        return time.monotonic()
