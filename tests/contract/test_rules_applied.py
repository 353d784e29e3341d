"""Column rules in every lake and warehouse: hashed and dropped columns, and other types."""

from __future__ import annotations

import hashlib
import hmac
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2
import pyarrow as pa
import pytest

import etl_web_to_local
from etl_web_to_bq import etl_web_to_bq
from etl_web_to_gcs import etl_web_to_gcs
from nyc_taxi.conform.column_rules import read_rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.conform.readers import open_raw
from nyc_taxi.conform.trip_column_rules import read_trip_rules
from nyc_taxi.errors import (
    CorruptFileError,
    InvalidInputError,
    InvalidValueError,
    PartialFailureError,
)
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.column_rules import KEY, Write, hashed, kinds, values
from tests.support.processes import ROOT, start
from tests.support.raw_files import write_raw
from tests.support.warehouses import WAREHOUSES, EmptyWarehouse

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)
FHVHV = TripMonth("fhvhv", 2021, 1)


class TestSensitive:
    def test_columns_are_hashed_and_dropped(
        self, write_rules: Write, hash_key: None, month_file: Callable[..., Path], tmp_path: Path
    ) -> None:
        raw, clean = month_file(FHVHV, 3000), tmp_path / "clean.parquet"
        conform(FHVHV, raw).write(tmp_path / "plain.parquet")
        fields = "HVFHS_license_num: hash\noriginating_base_num: hash\ntrip_time: hash\ntips: drop"
        plan = conform(FHVHV, raw, read_trip_rules(write_rules(fields=fields), "fhvhv"))
        assert plan.write(clean).rows == 3000
        for column in ("hvfhs_license_num", "originating_base_num", "trip_time"):
            known = values(tmp_path / "plain.parquet", column)
            assert values(clean, column) == [None if v is None else hashed(v) for v in known]
        assert None in values(clean, "originating_base_num")
        assert "tips" not in kinds(clean)
        assert "tips" not in dict(plan.columns)
        assert KEY not in repr(plan) + plan.preview()
        assert not any(text in clean.read_bytes() for text in (b"HV0003", b"HV0005"))

    def test_long_key_is_hashed_first(
        self, write_rules: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = "ü" * 100
        monkeypatch.setenv("NYC_TAXI_HASH_KEY", long)
        rules = read_rules(write_rules(fields="note: hash"))
        conform(GREEN, write_raw(tmp_path, {"note": ["é", ""]}), rules).write(
            tmp_path / "c.parquet"
        )
        assert values(tmp_path / "c.parquet", "note") == [
            hmac.new(long.encode(), text.encode(), hashlib.sha256).hexdigest() for text in ("é", "")
        ]

    def test_invalid_sensitive_value_is_not_shown(
        self, write_rules: Write, hash_key: None, tmp_path: Path
    ) -> None:
        rules = read_rules(write_rules(fields="VendorID: hash"))
        raw = write_raw(tmp_path, {"VendorID": ["1", "My Name"]})
        with pytest.raises(InvalidValueError, match="VendorID holds a hidden value") as problem:
            conform(GREEN, raw, rules).write(tmp_path / "clean.parquet")
        assert "My Name" not in str(problem.value)

    def test_invalid_row_is_not_shown(self, tmp_path: Path) -> None:
        raw = tmp_path / "green_tripdata_2021-01.csv"
        raw.write_text("VendorID,note\n1,a\n1,My Name,b\n")
        message = "Expected 2 columns, got 3; nothing"
        with pytest.raises(CorruptFileError, match=message) as problem, open_raw(raw) as db:
            db.execute("FROM raw").fetchall()
        assert "My Name" not in str(problem.value)

    def test_missing_or_short_key_is_rejected(
        self, write_rules: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write_rules(fields="hvfhs_license_num: hash\nnote: hash")
        with pytest.raises(
            InvalidInputError, match="hashes columns, but NYC_TAXI_HASH_KEY is not set; generate"
        ):
            read_trip_rules(folder, "fhvhv")
        with monkeypatch.context() as environment:
            environment.setenv("NYC_TAXI_HASH_KEY", "too short")
            with pytest.raises(
                InvalidInputError, match="NYC_TAXI_HASH_KEY is shorter than"
            ) as problem:
                read_trip_rules(folder, "fhvhv")
            assert "too short" not in str(problem.value)
        rules = read_trip_rules(folder, "green")  # which has no license numbers
        with pytest.raises(InvalidInputError, match="NYC_TAXI_HASH_KEY is not set"):
            conform(GREEN, write_raw(tmp_path, {"note": ["a", "b"]}), rules)


@pytest.fixture
def published(site: Site, month_file: Callable[..., Path]) -> Site:
    for trips in (YELLOW, FEBRUARY, GREEN):
        shutil.copy(month_file(trips, 2000), site.folder)
    return site


class TestFlows:
    @pytest.fixture
    def follow(
        self, write_rules: Write, monkeypatch: pytest.MonkeyPatch, prefect_server: None
    ) -> Callable[..., None]:
        """Use a config folder of the test in the flows."""

        def write(types: str = "", fields: str = "") -> None:
            monkeypatch.setattr(etl_web_to_local, "CONFIG", write_rules(types, fields))

        return write

    @pytest.fixture(params=WAREHOUSES)
    def warehouse(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> EmptyWarehouse:
        warehouse = WAREHOUSES[request.param](request)
        monkeypatch.setenv("NYC_TAXI_WAREHOUSE", warehouse.address)
        return warehouse

    @pytest.mark.slow_on("bigquery", "postgres")
    def test_lake_and_warehouse_follow_the_rules(
        self,
        follow: Callable[..., None],
        hash_key: None,
        published: Site,
        warehouse: EmptyWarehouse,
        tmp_path: Path,
    ) -> None:
        follow(
            "yellow_rides: {PULocationID: SMALLINT, passenger_count: INTEGER, RatecodeID: DOUBLE,"
            " payment_type: VARCHAR}\ngreen_rides: {payment_type: VARCHAR}",
            "VendorID: hash\nstore_and_fwd_flag: drop",
        )
        assert etl_web_to_bq([1, 2], 2021, "yellow") == 4000
        assert etl_web_to_bq([1], 2021, "green") == 2000
        lake = tmp_path / "lake" / YELLOW.key
        assert kinds(lake)["PULocationID"] == pa.int16()
        assert "store_and_fwd_flag" not in kinds(lake)
        kind = warehouse.address.partition(":")[0]
        types = warehouse.query(
            {
                "bigquery": "SELECT lower(column_name), lower(data_type) FROM "
                "dezoomcamp.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'yellow_rides'",
                "spark": "DESCRIBE dezoomcamp.yellow_rides",
            }.get(
                kind,
                "SELECT lower(column_name), lower(data_type) FROM information_schema.columns "
                "WHERE table_name = 'yellow_rides'",
            )
        )
        types_by_name = {row[0].lower(): row[1] for row in types}
        integers = {"bigquery": ("int64", "int64"), "spark": ("int", "int")}
        short, integer = integers.get(kind, ("smallint", "integer"))
        assert types_by_name["pulocationid"] == short
        assert types_by_name["passenger_count"] == integer
        assert types_by_name["ratecodeid"] in ("float64", "double", "double precision")
        assert types_by_name["payment_type"] in ("string", "varchar", "text")
        assert "store_and_fwd_flag" not in types_by_name
        vendors = warehouse.query(
            "SELECT trip_month, VendorID, count(*), min(payment_type) FROM dezoomcamp.rides "
            "WHERE color = 'yellow' GROUP BY trip_month, VendorID ORDER BY trip_month, VendorID"
        )
        ids = {vendor for _, vendor, _, _ in vendors}
        assert {hashed(1), hashed(2)} <= ids <= {hashed(id) for id in range(1, 8)}
        for month in (YELLOW, FEBRUARY):  # both months have the same hashes
            with duckdb.connect() as db:
                raw = published.folder / f"{month.stem}.parquet"
                counts = db.execute(f"SELECT VendorID, count(*) FROM '{raw}' GROUP BY 1").fetchall()
            loaded = {v: count for first, v, count, _ in vendors if first == month.first_day}
            assert loaded == {hashed(id): count for id, count in counts}
        assert warehouse.query("SELECT count(*), count(passenger_count) FROM dezoomcamp.rides") == [
            (6000, 6000)
        ]
        with pytest.raises(Exception, match="store_and_fwd_flag"):
            warehouse.query("SELECT store_and_fwd_flag FROM dezoomcamp.rides")

    @pytest.mark.slow
    def test_table_older_than_the_rule_is_rejected(
        self,
        follow: Callable[..., None],
        hash_key: None,
        published: Site,
        warehouse: EmptyWarehouse,
    ) -> None:
        follow()
        etl_web_to_bq([1], 2021, "yellow")
        follow(fields="store_and_fwd_flag: drop")
        assert etl_web_to_bq([1], 2021, "yellow") == 2000
        if not warehouse.address.startswith("bigquery"):  # which has only one integer type
            follow("yellow_rides: {passenger_count: SMALLINT}")
            narrower = (
                r"(?i)column passenger_count is bigint in .+ but (small)?int in the file; run "
            )
            with pytest.raises(PartialFailureError, match=narrower):
                etl_web_to_bq([1], 2021, "yellow")
            assert warehouse.open().count(YELLOW) == 2000
        follow(fields="VendorID: hash")
        with pytest.raises(
            PartialFailureError, match=r"(?i)column vendorid is \w+ in .+ but \w+ in the file; r"
        ):
            etl_web_to_bq([2], 2021, "yellow")
        assert warehouse.open().count(FEBRUARY) == 0
        assert warehouse.query("SELECT count(*), count(VendorID) FROM dezoomcamp.rides") == [
            (2000, 2000)
        ]

    @pytest.mark.slow
    def test_command_in_the_message_fixes_the_table(
        self,
        follow: Callable[..., None],
        published: Site,
        postgres: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for warehouse in (
            EmptyWarehouse(f"duckdb:{tmp_path / 'fixed.duckdb'}", lambda query: []),
            EmptyWarehouse("postgres:no-such-block", lambda query: []),
        ):
            monkeypatch.setenv("NYC_TAXI_WAREHOUSE", warehouse.address)
            follow("yellow_rides: {passenger_count: SMALLINT}")
            etl_web_to_bq([1], 2021, "yellow")
            follow()
            with pytest.raises(PartialFailureError) as problem:
                etl_web_to_bq([2], 2021, "yellow")
            fix = re.split("; run |, or rename", str(problem.value))[1]
            assert "passenger_count type bigint" in fix.replace('"', "").lower()
            if warehouse.address.startswith("duckdb"):
                with duckdb.connect(warehouse.address.partition(":")[2]) as db:
                    db.execute(fix)
            else:
                with closing(psycopg2.connect(postgres)) as link, link, link.cursor() as cursor:
                    cursor.execute(fix)
            assert etl_web_to_bq([2], 2021, "yellow") == 2000
            assert warehouse.open().count(YELLOW) == warehouse.open().count(FEBRUARY) == 2000

    def test_invalid_rules_are_rejected_before_any_write(
        self, follow: Callable[..., None], published: Site, tmp_path: Path
    ) -> None:
        follow(fields="VendorID: hash")
        with pytest.raises(InvalidInputError, match="NYC_TAXI_HASH_KEY is not set"):
            etl_web_to_gcs("yellow", 2021, 1)
        assert not published.requests
        assert not (tmp_path / "lake").exists()
        assert not list(tmp_path.rglob("*.parquet.part"))
        assert not (tmp_path / "data" / "yellow").exists()

    @pytest.mark.slow
    def test_scripts_read_the_config_folder_next_to_them(
        self, published: Site, prefect_server: None, tmp_path: Path
    ) -> None:
        flows = shutil.copytree(ROOT / "flows", tmp_path / "copy" / "flows")
        (flows / "config" / "sensitive_fields.yaml").write_text("VendorID: hash\n")
        script = str(flows / "etl_web_to_gcs.py")
        with start(script, PYTHONPATH=str(flows)) as run:
            output = run.communicate()[0]
        assert run.returncode == 1
        assert output.splitlines()[-1].startswith(f"error: {flows}/config/sensitive_fields.yaml ha")
        with start(script, PYTHONPATH=str(flows), NYC_TAXI_HASH_KEY=KEY) as run:
            output = run.communicate()[0]
        assert run.returncode == 0, output
        assert hashed(2) in values(tmp_path / "lake" / YELLOW.key, "VendorID")
        assert KEY not in output
