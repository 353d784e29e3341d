"""Flows from the TLC's site to BigQuery, and the doctor, on the emulators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from google.cloud import bigquery
from prefect.client.orchestration import get_client

from etl_web_to_bq import etl_web_to_bq
from nyc_taxi import doctor
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.bigquery.dataframe import open_dataframes
from reference.zones.flow import zones
from synthetic_tlc import Site
from tests.support.google import publish

YELLOW = TripMonth("yellow", 2021, 1)


class TestFlows:
    @pytest.mark.slow
    def test_flow_loads_published_files_of_two_eras(
        self, google_project: str, real: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = real / "trip-data"
        with Site(real) as site:
            monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"{site.url}/trip-data")
            rows = [
                etl_web_to_bq(months, year, "green")
                for year, months in ((2021, [1, 2]), (2025, [1]), (2021, [1]))
            ]
            assert zones() == 265
        assert rows == [76518 + 64572, 48326, 76518]
        sums = "count(*), round(sum(total_amount), 2)"
        rides = bigquery.Client(project=google_project).query_and_wait(
            f"SELECT {sums}, count(cbd_congestion_fee), sum(PULocationID), "
            "count(*) - count(passenger_count) FROM dezoomcamp.green_rides "
            "GROUP BY trip_month ORDER BY trip_month"
        )
        with duckdb.connect() as db:
            expected = [
                db.execute(
                    f"SELECT {sums}, {fee}, sum(PULocationID), 0 "
                    f"FROM '{files}/green_tripdata_{month}.parquet'"
                ).fetchone()
                for month, fee in (
                    ("2021-01", "0"),
                    ("2021-02", "0"),
                    ("2025-01", "count(cbd_congestion_fee)"),
                )
            ]
        assert [row.values() for row in rides] == expected
        last = open_dataframes(f"bigquery:{google_project}").query(
            "SELECT LocationID, Borough, Zone FROM dezoomcamp.zones WHERE LocationID > 263 "
            "ORDER BY LocationID"
        )
        assert last.values.tolist() == [
            [264, "Unknown", "N/A"],
            [265, "N/A", "Outside of NYC"],
        ]

    def test_flow_loads_from_gcs_without_a_local_copy(
        self, google_project: str, site: Site, month_file: Callable[..., Path], tmp_path: Path
    ) -> None:
        raw = month_file(YELLOW, 5000)
        publish(site, raw)
        assert etl_web_to_bq([1], 2021, "yellow") == 5000
        assert not (tmp_path / "data" / "gcs").exists()
        assert etl_web_to_bq([1], 2021, "yellow", method="dataframe") == 5000
        assert (tmp_path / "data" / "gcs").exists()


class TestDoctor:
    @pytest.fixture(autouse=True)
    def no_work_pools(self, prefect_server: None) -> None:
        """Delete the work pools of other tests, which have no workers."""
        with get_client(sync_client=True) as client:
            for pool in client.read_work_pools():
                client.delete_work_pool(pool.name)

    def lines(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
        code = doctor.main()
        return code, capsys.readouterr().out.splitlines()

    def test_doctor_passes_every_check(
        self,
        google_project: str,
        site: Site,
        month_file: Callable[..., Path],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        raw = month_file(YELLOW, 5000)
        publish(site, raw)
        code, lines = self.lines(capsys)
        assert code == 0
        assert [line.split()[:2] for line in lines] == [
            ["server", "ok"],
            ["workers", "ok"],
            ["source", "ok"],
            ["lake", "ok"],
            ["warehouse", "ok"],
        ]

    def test_doctor_reports_every_failure(
        self,
        prefect_server: None,
        site: Site,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_LAKE", "gcs:none")
        monkeypatch.setenv("NYC_TAXI_WAREHOUSE", "bigquery:none")
        code, lines = self.lines(capsys)
        assert code == 1
        assert [line.split()[1] for line in lines] == ["ok"] * 2 + ["failed"] * 3
        assert "set NYC_TAXI_SOURCE_URL" in lines[2]
        assert all("python blocks/make_gcp_blocks.py" in line for line in lines[3:])
