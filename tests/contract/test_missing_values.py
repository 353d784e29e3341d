"""Missing values: kept, counted and reported."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import flow

from etl_gcs_to_bq import etl_gcs_to_bq
from ingest_data_flow import transform_data
from nyc_taxi.conform.passenger_counts import count_missing_passengers, count_nulls
from nyc_taxi.conform.plan import conform
from nyc_taxi.orchestration.artifacts import publish_reports
from tests.support.raw_files import GREEN, write_raw

NAN = float("nan")


class TestMissing:
    def test_empty_rows_are_kept_and_counted(self, tmp_path: Path) -> None:
        """Spreadsheets add rows of commas at the end."""
        raw = tmp_path / f"{GREEN.stem}.csv"
        names = [c.name for c in GREEN.service.columns if c.required]
        trip = dict.fromkeys(names, "1") | dict.fromkeys(names[1:3], "2021-01-01 00:00:00")
        lines = [",".join(names), ",".join(trip.values()), *["," * (len(names) - 1)] * 2]
        raw.write_text("\n".join(lines) + "\n")
        report = conform(GREEN, raw).write(tmp_path / "clean.parquet")
        assert report.rows == 3
        assert report.anomalies["empty rows"] == 2
        for name in names:
            label = "missing passengers" if name == "passenger_count" else f"missing {name}"
            assert report.anomalies[label] == 2
        assert "empty rows 2" in str(report)

    def test_nulls_in_required_columns_are_counted_by_name(self, tmp_path: Path) -> None:
        times = pa.array([None, 0], pa.timestamp("us"))
        raw = write_raw(tmp_path, {"lpep_pickup_datetime": times, "VendorID": [None, 1]})
        found = conform(GREEN, raw).write(tmp_path / "clean.parquet").anomalies
        assert found["missing lpep_pickup_datetime"] == 1
        assert found["missing VendorID"] == 1
        assert "empty rows" not in found

    def test_reports_with_different_anomalies_share_one_table(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = conform(GREEN, write_raw(tmp_path, {"tip_amount": [NAN, 1.0]}))
        two = conform(GREEN, write_raw(tmp_path, {}))
        reports = [plan.write(tmp_path / "clean.parquet") for plan in (two, one)]
        rows: list[Any] = []
        monkeypatch.setattr(
            "nyc_taxi.orchestration.artifacts.create_table_artifact",
            lambda table, key: rows.extend(table),
        )
        publish_reports(reports, "key")
        assert list(rows[0]) == list(rows[1])

    @pytest.mark.parametrize("statistics", [True, False])
    def test_nulls_are_counted_with_and_without_statistics(
        self, tmp_path: Path, statistics: bool
    ) -> None:
        path = tmp_path / "trips.parquet"
        table = pa.table({"passenger_count": [1, None, None], "other": [None, 1, 2]})
        pq.write_table(table, path, write_statistics=statistics, row_group_size=2)
        with path.open("rb") as file:
            assert count_missing_passengers(file) == 2
        with path.open("rb") as file:
            assert count_nulls(file) == {"passenger_count": 2, "other": 1}

    @pytest.mark.slow
    @pytest.mark.usefixtures("prefect_server")
    def test_flows_label_the_passengers_they_count(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The same label meant nulls in one flow and zeros in the other."""
        clean = tmp_path / "lake" / GREEN.key
        conform(GREEN, write_raw(tmp_path, {"passenger_count": [0, None]})).write(clean)

        @flow
        def ingest() -> None:
            transform_data(GREEN, clean, keep_zero=False)

        with caplog.at_level(logging.INFO):
            etl_gcs_to_bq(color="green")
            ingest()
        assert "pre: missing passenger count: 1" in caplog.text
        assert "post: missing passenger count: 0" in caplog.text
        assert "pre: trips with 0 passengers: 1" in caplog.text
        assert "post: trips with 0 passengers: 0" in caplog.text
