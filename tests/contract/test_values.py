"""Values: each is cast to its type unchanged, or the month is rejected in one line."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import logging
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import flow

from etl_gcs_to_bq import etl_gcs_to_bq
from ingest_data_flow import transform_data
from nyc_taxi.conform.anomalies import count_anomalies
from nyc_taxi.conform.column_rules import EMPTY_RULES, Rules
from nyc_taxi.conform.conformed_files import check_conformed
from nyc_taxi.conform.passenger_counts import (
    ALL_TRIPS,
    count_missing_passengers,
    count_nulls,
    count_zero_passengers,
)
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import (
    InvalidInputError,
    InvalidValueError,
    NycTaxiError,
    SchemaMismatchError,
    StorageError,
)
from nyc_taxi.orchestration.artifacts import publish_reports
from nyc_taxi.trips.months import TripMonth, parse_integer
from nyc_taxi.trips.schemas import SERVICES
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse
from tests.support.raw_files import GREEN, sql, write_raw

YELLOW = TripMonth("yellow", 2021, 1)
FHV = TripMonth("fhv", 2021, 1)
NAN = float("nan")
KEY = "a secret of the tests"


def conformed(
    tmp_path: Path, columns: dict[str, Any], rules: Rules = EMPTY_RULES
) -> dict[str, list[Any]]:
    """Conform a file with two rows; return its columns."""
    plan = conform(GREEN, write_raw(tmp_path, columns), rules)
    plan.write(tmp_path / "clean.parquet")
    with pq.ParquetFile(tmp_path / "clean.parquet") as file:
        values: dict[str, list[Any]] = file.read().to_pydict()
    return values


def rejection(tmp_path: Path, columns: dict[str, Any], rules: Rules = EMPTY_RULES) -> str:
    with pytest.raises(NycTaxiError) as problem:
        conformed(tmp_path, columns, rules)
    assert "\n" not in str(problem.value)
    return str(problem.value)


class TestPaths:
    """Folder names are not partition values, and paths are not glob patterns."""

    @pytest.fixture(
        params=["VendorID=7", "PULocationID=999", "trip_type=9", "env=prod", "a[1]", "b*", "c?d"]
    )
    def folder(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        folder = tmp_path / str(request.param) / "more"
        folder.mkdir(parents=True)
        (tmp_path / "a1" / "more").mkdir(parents=True)
        (tmp_path / "bother" / "more").mkdir(parents=True)
        (tmp_path / "cad" / "more").mkdir(parents=True)
        for other in ("a1", "bother", "cad"):  # matched by the patterns
            other_trips = pa.table({"VendorID": [5, 5, 5], "passenger_count": [0, 0, 0]})
            pq.write_table(other_trips, tmp_path / other / "more" / "clean.parquet")
            pq.write_table(
                other_trips, tmp_path / other / "more" / "green_tripdata_2021-01.parquet"
            )
        return folder

    @pytest.mark.few(3)
    def test_readers_ignore_glob_and_partition_patterns_in_paths(self, folder: Path) -> None:
        raw = write_raw(folder, {"passenger_count": [0, None]})
        clean = folder / "clean.parquet"
        report = conform(GREEN, raw).write(clean)
        names = pq.read_schema(clean).names
        assert "env" not in names
        assert report.rows == 2
        assert report.anomalies["missing passengers"] == 1
        with pq.ParquetFile(clean) as file:
            assert file.read()["VendorID"].to_pylist() == [1, 2]
            assert file.read()["PULocationID"].to_pylist() == [74, 75]
        assert count_anomalies(GREEN, clean)["missing passengers"] == 1
        assert count_zero_passengers(GREEN, clean, ALL_TRIPS) == 1
        with clean.open("rb") as stored:
            assert count_missing_passengers(stored) == 1

        warehouse = DuckDBWarehouse(folder.parents[1] / "warehouse.duckdb")
        assert warehouse.replace_month(GREEN, clean, {}) == 2
        with duckdb.connect(str(warehouse.path)) as db:
            query = "SELECT list(VendorID), list(PULocationID) FROM dezoomcamp.green_rides"
            assert db.execute(query).fetchone() == ([1, 2], [74, 75])
            columns = db.execute("DESCRIBE dezoomcamp.green_rides").fetchall()
            assert "env" not in [name for name, *_ in columns]

    @pytest.mark.few(2)
    def test_postgres_ignores_patterns_in_paths(self, folder: Path, postgres: str) -> None:
        clean = folder / "clean.parquet"
        conform(GREEN, write_raw(folder, {})).write(clean)
        PostgresWarehouse(find_database()).replace_month(GREEN, clean, {})
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            cursor.execute(
                "SELECT array_agg(vendorid), array_agg(pulocationid) FROM dezoomcamp.green_rides"
            )
            assert cursor.fetchone() == ([1, 2], [74, 75])


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


class TestTexts:
    @pytest.mark.few(8)
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *[("9007199254740993", 9007199254740993), ("9223372036854775807", 2**63 - 1)],
            *[
                (" 7 ", 7),
                ("7.0", 7),
                ("7.", 7),
                ("+7", 7),
                ("-0", 0),
                ("007", 7),
                ("1e+05", 10**5),
            ],
            *[("nan", None), ("NaN", None), ("<NA>", None), ("None", None), ("null", None)],
            *[("\\N", None), ("", None), ("  ", None), ("NA", None)],
        ],
    )
    def test_text_is_cast_to_integer(self, tmp_path: Path, text: str, value: int | None) -> None:
        assert conformed(tmp_path, {"trip_type": [text, "1"]})["trip_type"] == [value, 1]

    @pytest.mark.few(5)
    @pytest.mark.parametrize(
        "text",
        [
            *["1_000", "0x10", "0b1", "1,000", "1 000", "\uff11", "1.5", "92233720368547758080"],
            *["7f", "$7", "7;", "--7", "inf", "9007199254740993e0", "true", "1.0.0", "1e30"],
        ],
    )  # fmt: skip
    def test_text_that_is_not_an_integer_is_rejected(self, tmp_path: Path, text: str) -> None:
        assert "trip_type holds " in rejection(tmp_path, {"trip_type": [text, "1"]})

    @pytest.mark.few(5)
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *[
                (".5", 0.5),
                ("5.", 5.0),
                ("-2.50", -2.5),
                ("1e3", 1000.0),
                ("8.9000000000000004", 8.9),
            ],
            *[("9007199254740992", 2.0**53), ("NAN", None), ("-nan", None), ("inf", float("inf"))],
        ],
    )
    def test_text_is_cast_to_double(self, tmp_path: Path, text: str, value: float | None) -> None:
        assert conformed(tmp_path, {"tip_amount": [text, "1"]})["tip_amount"] == [value, 1.0]

    @pytest.mark.few(3)
    @pytest.mark.parametrize(
        "text",
        [
            "1_000",
            "0x10",
            "1,000.00",
            "$5.00",
            "5 USD",
            "9007199254740993",
            "1e400",
            "(5.00)",
            "5-",
        ],
    )
    def test_text_that_is_not_an_amount_is_rejected(self, tmp_path: Path, text: str) -> None:
        assert "tip_amount holds " in rejection(tmp_path, {"tip_amount": [text, "1"]})

    @pytest.mark.few(4)
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("2019-01-31 12:05:00", (2019, 1, 31, 12, 5)),
            ("2019-01-31T12:05:00", (2019, 1, 31, 12, 5)),
            ("2019-01-31 12:05", (2019, 1, 31, 12, 5)),
            ("2019-01-31 12:05:00.250000000", (2019, 1, 31, 12, 5, 0, 250000)),
            ("2019/1/31 0:05", (2019, 1, 31, 0, 5)),
            ("2019-01-31", (2019, 1, 31)),
            ("01/31/2019 12:05:00 AM", (2019, 1, 31, 0, 5)),
            ("01/31/2019 12:05:00 PM", (2019, 1, 31, 12, 5)),
            ("1/2/2019 1:05 pm", (2019, 1, 2, 13, 5)),
        ],
    )
    def test_text_is_cast_to_timestamp(
        self, tmp_path: Path, text: str, value: tuple[int, ...]
    ) -> None:
        columns = {"lpep_pickup_datetime": [text, "NaT"]}
        times = conformed(tmp_path, columns)["lpep_pickup_datetime"]
        assert times == [datetime.datetime(*value), None]  # type: ignore[arg-type]

    @pytest.mark.few(6)
    @pytest.mark.parametrize(
        "text",
        [
            *["1/2/19 10:00", "1/2/2019 10:00", "31/01/2019 10:00:00", "13/31/2019 10:00:00 AM"],
            *["2019-01-31T05:00:00Z", "2019-01-31 05:00:00+00:00", "2019-01-31 05:00:00 UTC"],
            *["infinity", "-infinity", "epoch", "now", "today", "0044-03-15 (BC) 10:00:00"],
            *["2019-01-31 24:00:00", "2019-01-31 10:00:60", "2019-02-30 10:00:00", "20190131"],
            *["2019-01-31 10:00:00.1234567", "0000-01-01 00:00:00", "10000-01-01", "43496.42"],
            *["01/31/2019 13:05:00 AM", "1548929100", "Jan 31 2019", "2019-01-31 10"],
        ],
    )
    def test_text_that_is_not_a_timestamp_is_rejected(self, tmp_path: Path, text: str) -> None:
        message = rejection(tmp_path, {"lpep_pickup_datetime": [text, "2021-01-01"]})
        assert f"lpep_pickup_datetime holds {text}" in message

    def test_error_shows_the_value_on_one_short_line(self, tmp_path: Path) -> None:
        message = rejection(tmp_path, {"trip_type": ["a\nb\0" + "c" * 1000, "1"]})
        assert "trip_type holds a?b?c" in message
        assert len(message) < 300

    def test_nul_character_is_rejected(self, tmp_path: Path) -> None:
        """PostgreSQL cannot store it, which failed only after the lake was written."""
        for column in ("store_and_fwd_flag", "note"):
            message = rejection(tmp_path, {column: ["a\0b", "N"]})
            assert f"{column} holds a?b, which contains a NUL character" in message


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


class TestUndeclared:
    @pytest.mark.few(1)
    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
    def test_zoned_timestamp_is_utc_in_every_session(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
    ) -> None:
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("NYC_TAXI_HASH_KEY", KEY)
        noon = datetime.datetime(2021, 2, 1, 12, tzinfo=datetime.UTC)
        for unit in ("us", "ns"):
            times = pa.array([noon, None], pa.timestamp(unit, "Europe/Paris"))
            plan = conform(GREEN, write_raw(tmp_path, {"loaded_at": times}))
            assert dict(plan.columns)["loaded_at"] == "TIMESTAMP"
            assert "columns with a time zone, converted to UTC: loaded_at" in plan.notes
            values = conformed(tmp_path, {"loaded_at": times})["loaded_at"]
            assert values == [noon.replace(tzinfo=None), None]
            nested = conformed(tmp_path, {"times": pa.array([[noon], None], pa.list_(times.type))})
            assert nested["times"] == ['["2021-02-01 12:00:00+00"]', None]
        hashed = conformed(tmp_path, {"loaded_at": times}, Rules(sensitive={"loaded_at": "hash"}))
        digest = hmac.new(KEY.encode(), b"2021-02-01 12:00:00", hashlib.sha256).hexdigest()
        assert hashed["loaded_at"] == [digest, None]

    @pytest.mark.few(8)
    @pytest.mark.parametrize(
        ("value", "kind", "expected"),
        [
            ("123456789012345678.91::DECIMAL(20, 2)", "VARCHAR", "123456789012345678.91"),
            ("12.5::DECIMAL(10, 2)", "DOUBLE", 12.5),
            ("12::DECIMAL(10, 0)", "BIGINT", 12),
            ("18446744073709551615::UBIGINT", "VARCHAR", "18446744073709551615"),
            ("7::UTINYINT", "BIGINT", 7),
            ("1.5::FLOAT", "DOUBLE", 1.5),
            ("true", "BOOLEAN", True),
            ("DATE '2021-01-31'", "DATE", datetime.date(2021, 1, 31)),
            ("TIME '01:02:03'", "VARCHAR", "01:02:03"),
            ("INTERVAL 90 MINUTE", "VARCHAR", "01:30:00"),
            ("uuid '00000000-0000-0000-0000-000000000001'", "VARCHAR",
             "00000000-0000-0000-0000-000000000001"),
            ("[1, NULL, 3]", "VARCHAR", "[1,null,3]"),
            ("{'a': 1, 'b': 'x'}", "VARCHAR", '{"a":1,"b":"x"}'),
            ("MAP {'a': 1}", "VARCHAR", '{"a":1}'),
            ("'x'::ENUM ('x', 'y')", "VARCHAR", "x"),
            ("TIMESTAMP_MS '2021-01-31 01:02:03'", "TIMESTAMP",
             datetime.datetime(2021, 1, 31, 1, 2, 3)),
            ("NULL", "BIGINT", None),
        ],
    )  # fmt: skip
    def test_undeclared_type_becomes_a_portable_type(
        self, tmp_path: Path, value: str, kind: str, expected: Any
    ) -> None:
        raw = write_raw(tmp_path, {})
        other = tmp_path / "other" / raw.name
        other.parent.mkdir()
        sql(f"COPY (SELECT *, {value} AS note FROM '{raw}') TO '{other}'")
        plan = conform(GREEN, other)
        assert expected is None or dict(plan.columns)["note"] == kind
        plan.write(tmp_path / "clean.parquet")
        assert pq.read_table(tmp_path / "clean.parquet")["note"].to_pylist() == [expected] * 2

    def test_rule_casts_the_value_of_the_file(self, tmp_path: Path) -> None:
        values = pa.array([Decimal("123456789012345678.91"), None], pa.decimal128(20, 2))
        for kind, expected in (("VARCHAR", "123456789012345678.91"), ("DOUBLE", None)):
            rules = Rules(types={"green_rides": {"note": kind}})  # type: ignore[dict-item]
            if expected:
                assert conformed(tmp_path, {"note": values}, rules)["note"] == [expected, None]
            else:
                assert "note holds 1234567" in rejection(tmp_path, {"note": values}, rules)
        times = pa.array([1_000_000_001, None], pa.timestamp("ns"))
        rules = Rules(types={"green_rides": {"note": "VARCHAR"}})
        exact = conformed(tmp_path, {"note": times}, rules)["note"]
        assert exact == ["1970-01-01 00:00:01.000000001", None]


class TestNames:
    BAD: ClassVar = {
        "trip_month": "added by the warehouses",
        "Trip_Month": "added by the warehouses",
        "ctid": "reserved by PostgreSQL",
        "xmin": "reserved by PostgreSQL",
        "OID": "reserved by PostgreSQL",
        "tableoid": "reserved by PostgreSQL",
        "_PARTITIONTIME": "reserved by BigQuery",
        "_file_name": "reserved by BigQuery",
        "_TABLE_SUFFIX": "reserved by BigQuery",
        "x" * 64: "longer than the 63 bytes",
        "\u00e9" * 32: "longer than the 63 bytes",
        "a\nb": "contains a control",
        "a\tb": "contains a control",
    }

    @pytest.mark.parametrize("name", BAD)
    def test_name_that_a_warehouse_rejects_is_rejected(self, tmp_path: Path, name: str) -> None:
        raw = write_raw(tmp_path, {name: [1, 2]})
        with pytest.raises(SchemaMismatchError, match=self.BAD[name]) as problem:
            conform(GREEN, raw)
        assert "\n" not in str(problem.value)
        assert "sensitive_fields.yaml" in str(problem.value)

    @pytest.mark.few(4)
    @pytest.mark.parametrize("name", BAD)
    def test_drop_rule_makes_the_file_load(self, tmp_path: Path, name: str) -> None:
        raw = write_raw(tmp_path, {name: [1, 2]})
        plan = conform(GREEN, raw, Rules(sensitive={name.lower(): "drop"}))
        assert plan.write(tmp_path / "clean.parquet").rows == 2
        assert name not in pq.read_schema(tmp_path / "clean.parquet").names

    @pytest.mark.parametrize(
        "names", [("\u00e9", "\u00c9"), ("\u00e9", "e\u0301"), ("stra\u00dfe", "STRASSE")]
    )
    def test_names_that_a_warehouse_treats_as_equal_are_rejected(
        self, tmp_path: Path, names: tuple[str, str]
    ) -> None:
        raw = write_raw(tmp_path, {name: [1, 2] for name in names})
        with pytest.raises(SchemaMismatchError, match=r"as the same name as|twice"):
            conform(GREEN, raw)

    @pytest.mark.few(3)
    @pytest.mark.parametrize("name", ["x" * 63, 'a"b', "a;b", "100%", "color", "rowid", "_x", "é"])
    def test_valid_names_load(self, tmp_path: Path, name: str) -> None:
        raw = write_raw(tmp_path, {name: [1, 2]})
        conform(GREEN, raw).write(tmp_path / "clean.parquet")
        warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
        for _ in range(2):
            assert warehouse.replace_month(GREEN, tmp_path / "clean.parquet", {}) == 2


class TestLake:
    """A warehouse loads only files that these flows wrote to the lake."""

    @pytest.fixture
    def clean(self, tmp_path: Path) -> Path:
        path = tmp_path / "clean.parquet"
        conform(GREEN, write_raw(tmp_path, {"note": ["a", None]})).write(path)
        return path

    def check(self, path: Path, trips: TripMonth = GREEN, rules: Rules = EMPTY_RULES) -> None:
        with path.open("rb") as file:
            check_conformed(file, trips, rules)

    def test_conformed_files_pass(self, clean: Path) -> None:
        self.check(clean)

    def rewrite(self, clean: Path, change: str) -> Path:
        target = clean.with_name("changed.parquet")
        sql(f"COPY (SELECT {change} FROM '{clean}') TO '{target}' (FORMAT parquet)")
        return target

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("* REPLACE (VendorID::DOUBLE AS VendorID)", "its VendorID is DOUBLE, not BIGINT"),
            (
                "* REPLACE (passenger_count::INTEGER AS passenger_count)",
                "passenger_count is INTEGER",
            ),
            (
                "* REPLACE (lpep_pickup_datetime::VARCHAR AS lpep_pickup_datetime)",
                "lpep_pickup_datetime is VARCHAR, not TIMESTAMP",
            ),
            (
                "* REPLACE (lpep_pickup_datetime::TIMESTAMP_NS AS lpep_pickup_datetime)",
                "lpep_pickup_datetime is timestamp",
            ),
            ("* EXCLUDE (ehail_fee)", "no column ehail_fee"),
            ("* EXCLUDE (VendorID)", "no column VendorID"),
            ("1 AS x", "no column VendorID"),
            ("*, [1] AS more", "its undeclared column more is list"),
            ("*, 1::BIGINT AS ctid", "reserved by PostgreSQL"),
        ],
    )
    def test_other_columns_are_rejected(self, clean: Path, change: str, message: str) -> None:
        with pytest.raises(SchemaMismatchError, match=message):
            self.check(self.rewrite(clean, change))

    def test_other_color_or_writer_is_rejected(self, clean: Path) -> None:
        with pytest.raises(
            SchemaMismatchError, match=r"no column tpep_pickup.*--color yellow --year 2021"
        ):
            self.check(clean, YELLOW)
        other = clean.with_name("other.parquet")
        pq.write_table(pq.read_table(clean), other)
        with pytest.raises(SchemaMismatchError, match="written by parquet-cpp"):
            self.check(other)

    @pytest.mark.parametrize("content", [b"", b"<html>", b"PAR1PAR1", None])
    def test_file_that_is_not_parquet_is_rejected(self, clean: Path, content: bytes | None) -> None:
        clean.write_bytes(clean.read_bytes()[:-100] if content is None else content)
        with pytest.raises(StorageError, match="not a complete Parquet file") as problem:
            self.check(clean)
        assert "\n" not in str(problem.value)

    def test_check_applies_the_rules(self, tmp_path: Path, clean: Path) -> None:
        rules = Rules(
            types={"green_rides": {"trip_type": "SMALLINT"}},
            sensitive={"ehail_fee": "drop", "note": "drop"},
        )
        with pytest.raises(
            SchemaMismatchError, match="ehail_fee is DOUBLE, not dropped by the rules"
        ):
            self.check(clean, rules=rules)
        conform(GREEN, write_raw(tmp_path, {"note": ["a", None]}), rules).write(clean)
        self.check(clean, rules=rules)
        with pytest.raises(SchemaMismatchError, match="no column ehail_fee"):
            self.check(clean)

    @pytest.mark.usefixtures("prefect_server")
    def test_flow_rejects_the_file_before_it_opens_the_warehouse(self, tmp_path: Path) -> None:
        """The ids of the file, which were doubles, set the types of the table."""
        stored = tmp_path / "lake" / GREEN.key
        stored.parent.mkdir(parents=True)
        table = pq.read_table(write_raw(tmp_path, {"VendorID": [1.0, 2.0]}))
        pq.write_table(table, stored, write_statistics=False)
        with pytest.raises(NycTaxiError, match="VendorID is DOUBLE, not BIGINT"):
            etl_gcs_to_bq(color="green")
        assert not (tmp_path / "warehouse.duckdb").exists()


@pytest.mark.parametrize("text", ["1_0", "\u0661", "2021.0", "9" * 5000, "", "1 2", "0x7e5"])
def test_parse_integer_rejects_invalid_text(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not an integer") as problem:
        parse_integer(text)
    assert len(str(problem.value)) < 200
