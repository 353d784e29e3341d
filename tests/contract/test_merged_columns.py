"""Two columns of a file that are one declared column: merged if equal, or rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidValueError
from nyc_taxi.trips.months import TripMonth
from tests.support.column_rules import KEY

FHV = TripMonth("fhv", 2021, 1)


class TestTwoSources:
    def write(self, folder: Path, first: str, second: str) -> Path:
        raw = folder / f"{FHV.stem}.csv"
        raw.write_text(
            "dispatching_base_num,pickup_datetime,PULocationID,locationid\n"
            f"B00013,2021-01-01 00:30:00,{first},{second}\n"
        )
        return raw

    @pytest.mark.parametrize(
        ("first", "second", "zone"),
        [("74", "", 74), ("", "74", 74), ("74", "74.0", 74), ("", "", None), ("nan", "74", 74)],
    )
    def test_sources_with_equal_values_are_merged(
        self, tmp_path: Path, first: str, second: str, zone: int | None
    ) -> None:
        conform(FHV, self.write(tmp_path, first, second)).write(tmp_path / "clean.parquet")
        zones = pq.read_table(tmp_path / "clean.parquet")["PUlocationID"].to_pylist()
        assert zones == [zone]

    def test_sources_with_different_values_are_rejected(self, tmp_path: Path) -> None:
        """The second value was dropped silently."""
        raw = self.write(tmp_path, "74", "265")
        message = "PULocationID holds 74 and locationid holds 265"
        with pytest.raises(InvalidValueError, match=message):
            conform(FHV, raw).write(tmp_path / "clean.parquet")

    def test_different_texts_and_times_are_rejected(self, tmp_path: Path) -> None:
        raw = tmp_path / f"{FHV.stem}.csv"
        head = "Dispatching_base_number,Dispatching_base_num,pickup_datetime,pickup_date\n"
        for row in ("B1,B2,2021-01-01,2021-01-01\n", "B1,B1 ,2021-01-01,2021-01-02\n"):
            raw.write_text(head + row)
            with pytest.raises(InvalidValueError, match="two values of one column"):
                conform(FHV, raw).write(tmp_path / "clean.parquet")
        raw.write_text(head + "B1,B1 ,2021-01-01,2021-01-01 00:00\n")
        conform(FHV, raw).write(tmp_path / "clean.parquet")

    def test_sensitive_values_are_not_shown(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("NYC_TAXI_HASH_KEY", KEY)
        raw = tmp_path / f"{FHV.stem}.csv"
        raw.write_text(
            "Dispatching_base_number,Dispatching_base_num,pickup_datetime\nB1,B2,2021-01-01\n"
        )
        rules = Rules(sensitive={"dispatching_base_num": "hash"})
        with pytest.raises(InvalidValueError, match="a hidden value") as problem:
            conform(FHV, raw, rules).write(tmp_path / "clean.parquet")
        assert "B2" not in str(problem.value)
