"""Numbers, times and flags: cast to their type unchanged, or rejected in one line."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import SchemaMismatchError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES
from tests.support.raw_files import GREEN, conformed, rejection, sql, write_raw

NAN = float("nan")


class TestNumbers:
    def test_large_integers_stay_exact(self, tmp_path: Path) -> None:
        large = pa.array([2**53 + 1, 1], pa.int64())
        assert "tip_amount holds 9007199254740993" in rejection(tmp_path, {"tip_amount": large})
        assert conformed(tmp_path, {"trip_type": large})["trip_type"] == [2**53 + 1, 1]
        fits = pa.array([2**60, 1], pa.uint64())
        assert conformed(tmp_path, {"tip_amount": fits})["tip_amount"] == [2.0**60, 1.0]
        too_large = pa.array([2**63, 1], pa.uint64())
        assert "trip_type holds 9223372036854775808" in rejection(
            tmp_path, {"trip_type": too_large}
        )

    def test_decimals_stay_exact(self, tmp_path: Path) -> None:
        values = [Decimal("12.30"), Decimal("0.05")]
        for precision, scale in ((12, 2), (38, 10), (38, 36)):
            money = pa.array(values, pa.decimal128(precision, scale))
            assert conformed(tmp_path, {"tip_amount": money})["tip_amount"] == [12.3, 0.05]
        count = pa.array([Decimal(7), Decimal(1)], pa.decimal128(38, 36))
        assert conformed(tmp_path, {"trip_type": count})["trip_type"] == [7, 1]
        assert "trip_type holds 12.30" in rejection(
            tmp_path, {"trip_type": pa.array(values, pa.decimal128(12, 2))}
        )

    @pytest.mark.few(4)
    @pytest.mark.parametrize("statistics", [True, False])
    @pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
    @pytest.mark.parametrize("values", [[NAN, 1.0], [NAN, 0.0], [-0.0, NAN], [NAN, NAN]])
    def test_nan_becomes_null_and_is_counted(
        self, tmp_path: Path, values: list[float], kind: pa.DataType, statistics: bool
    ) -> None:
        """DuckDB replaces `isnan` with false if minimum and maximum in the footer are numbers."""
        raw = write_raw(tmp_path, {})
        names = ("trip_type", "passenger_count", "tip_amount", "surge")
        table = pq.read_table(raw, partitioning=None)
        for name in names:
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(name, pa.array(values, kind))
        pq.write_table(table, raw, write_statistics=statistics)
        report = conform(GREEN, raw).write(tmp_path / "clean.parquet")
        clean = pq.read_table(tmp_path / "clean.parquet").to_pydict()
        missing_values = sum(value != value for value in values)
        for name in names:
            assert clean[name] == [None if value != value else value for value in values]
            assert report.anomalies[f"missing values (NaN) in {name}"] == missing_values
        assert f"missing values (NaN) in tip_amount {missing_values}" in str(report)

    def test_nan_as_text_becomes_null_in_every_type(self, tmp_path: Path) -> None:
        raw = tmp_path / f"{GREEN.stem}.csv"
        raw.write_text(
            "VendorID,lpep_pickup_datetime,lpep_dropoff_datetime,store_and_fwd_flag,"
            "passenger_count,trip_distance,fare_amount,tip_amount,tolls_amount,total_amount,"
            "payment_type\n"
            "nan,NaT,2021-01-01 00:00:00,nan,NaN,NAN,1,1,1,1,<NA>\n"
        )
        found = conform(GREEN, raw).write(tmp_path / "clean.parquet").anomalies
        counted = [name for name in found if name.startswith("missing values (NaN) in ")]
        assert len(counted) == 6
        assert sql(f"SELECT store_and_fwd_flag FROM '{tmp_path}/clean.parquet'") is None

    def test_infinite_amounts_are_kept_and_counted(self, tmp_path: Path) -> None:
        raw = write_raw(tmp_path, {"tip_amount": [float("inf"), 1.0]})
        report = conform(GREEN, raw).write(tmp_path / "clean.parquet")
        assert report.anomalies["infinite values in tip_amount"] == 1
        assert "trip_type holds inf" in rejection(tmp_path, {"trip_type": [float("inf"), 1.0]})

    def test_second_pass_restarts_the_counters(self, tmp_path: Path) -> None:
        plan = conform(GREEN, write_raw(tmp_path, {"tip_amount": [NAN, 1.0]}))
        plan.preview()
        for _ in range(2):
            found = plan.write(tmp_path / "clean.parquet").anomalies
            assert found["missing values (NaN) in tip_amount"] == 1

    def test_times_outside_of_the_calendar_are_rejected(self, tmp_path: Path) -> None:
        for values, kind in (
            ([2**63 - 1, 0], "us"),
            ([-(2**62), 0], "us"),
            ([253402300800, 0], "s"),  # 10000-01-01
            ([1, 0], "ns"),
        ):
            times = pa.array(values, pa.timestamp(kind))
            for column in ("lpep_dropoff_datetime", "loaded_at"):
                assert f"{column} holds " in rejection(tmp_path, {column: times})


class TestFlags:
    FLAGS: ClassVar = [
        (color, column.name)
        for color, service in SERVICES.items()
        for column in service.columns
        if column.name.lower().endswith("_flag")
    ]

    @pytest.mark.few(3)
    @pytest.mark.parametrize(
        "values",
        [["True", "False"], ["TRUE", "FALSE"], ["true", "false"], ["y", " n"], ["1", "0"],
         ["1.0", "0.0"], ["Y ", " N"], [True, False], [1, 0], [1.0, 0.0], ["t", "f"],
         ["yes", "no"]],
    )  # fmt: skip
    def test_every_spelling_of_a_flag_is_decoded(
        self, tmp_path: Path, month_file: Callable[..., Path], values: list[Any]
    ) -> None:
        for color in SERVICES:
            trips = TripMonth(color, 2021, 1)
            table = pq.read_table(month_file(trips, 10), partitioning=None)
            for name in [name for c, name in self.FLAGS if c == color]:
                if name in table.column_names:
                    table = table.drop_columns([name])
                table = table.append_column(name, pa.array(values * 5))
            raw = tmp_path / f"{trips.stem}.parquet"
            pq.write_table(table, raw)
            report = conform(trips, raw).write(tmp_path / "clean.parquet")
            clean = pq.read_table(tmp_path / "clean.parquet")
            for name in [name for c, name in self.FLAGS if c == color]:
                codes: list[object] = [1, 0] if name == "SR_Flag" else ["Y", "N"]
                assert clean[name].to_pylist() == codes * 5, name
            assert not [what for what in report.anomalies if "other than" in what]

    def test_other_flag_values_are_kept_and_counted(self, tmp_path: Path) -> None:
        raw = write_raw(tmp_path, {"store_and_fwd_flag": ["*", " "]})
        report = conform(GREEN, raw).write(tmp_path / "clean.parquet")
        assert report.anomalies["store_and_fwd_flag other than Y or N"] == 1
        assert sql(f"SELECT list(store_and_fwd_flag) FROM '{tmp_path}/clean.parquet'") == ["*", " "]

    def test_boolean_is_rejected_as_a_count(self, tmp_path: Path) -> None:
        with pytest.raises(SchemaMismatchError, match="passenger_count as BOOLEAN"):
            conform(GREEN, write_raw(tmp_path, {"passenger_count": [True, False]}))
