"""Column rules: applied in every lake and warehouse; invalid rules are rejected before any work."""

from __future__ import annotations

import hashlib
import hmac
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import etl_web_to_local
from etl_web_to_bq import etl_web_to_bq
from etl_web_to_gcs import etl_web_to_gcs
from nyc_taxi.conform.column_rules import Rules, read_rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.conform.readers import open_raw
from nyc_taxi.conform.trip_column_rules import read_trip_rules
from nyc_taxi.errors import (
    CorruptFileError,
    InvalidInputError,
    InvalidValueError,
    PartialFailureError,
    SchemaMismatchError,
)
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES
from synthetic_tlc import Site
from tests.support.processes import ROOT, start
from tests.support.raw_files import write_raw
from tests.support.warehouses import WAREHOUSES, EmptyWarehouse

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)
FHVHV = TripMonth("fhvhv", 2021, 1)
KEY = "a secret of the tests"
Write = Callable[..., Path]


@pytest.fixture
def config(tmp_path: Path) -> Write:
    """Write a folder with both files: config(types="...", fields="...")."""

    def write(types: str = "", fields: str = "") -> Path:
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "column_types.yaml").write_text(types)
        (folder / "sensitive_fields.yaml").write_text(fields)
        return folder

    return write


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYC_TAXI_HASH_KEY", KEY)


def hashed(value: object) -> str:
    return hmac.new(KEY.encode(), str(value).encode(), hashlib.sha256).hexdigest()


def kinds(parquet: Path) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in pq.read_schema(parquet)}


def values(parquet: Path, column: str) -> list[Any]:
    return list(pq.read_table(parquet, columns=[column])[column].to_pylist())


class TestReading:
    @pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "{}", "null"])
    def test_empty_files_change_nothing(self, config: Write, tmp_path: Path, text: str) -> None:
        if text != "null":
            rules = read_rules(config(types=text, fields=text))
            assert (rules.types, rules.sensitive) == ({}, {})
        assert read_rules(tmp_path / "nowhere") == Rules(tmp_path / "nowhere", {}, {})
        assert read_rules(config(types="yellow_rides:\n  # fare: DOUBLE\n")).types == {
            "yellow_rides": {}
        }

    def test_both_files_are_read(self, config: Write) -> None:
        rules = read_rules(
            config(types="a: {X: SMALLINT, no: VARCHAR}\nb: {x: DOUBLE}", fields="Y: hash\nz: drop")
        )
        assert rules.types == {"a": {"x": "SMALLINT", "no": "VARCHAR"}, "b": {"x": "DOUBLE"}}
        assert rules.sensitive == {"y": "hash", "z": "drop"}

    def test_rules_of_the_repository_are_valid(self) -> None:
        assert not read_rules(ROOT / "flows" / "config").types
        for color in SERVICES:
            assert not read_trip_rules(ROOT / "flows" / "config", color).sensitive
        zone_rules = read_rules(ROOT / "flows" / "reference" / "zones" / "config")
        assert zone_rules.types == {"zones": {"locationid": "SMALLINT"}}

    @pytest.mark.parametrize(
        ("types", "message"),
        [
            (
                "a: {x: INT}",
                "a: x has the type 'INT'; use one of SMALLINT, INTEGER, BIGINT, DOUBLE",
            ),
            ("a: {x: smallint}", "x has the type 'smallint'; use one of"),
            ("a: {x: }", "x has the type ''; use one of"),
            ("a: {x: [BIGINT]}", r"x has the type \"?\['BIGINT'\]"),
            ("a: {x: {y: BIGINT}}", "x has the type"),
            ("a: BIGINT", r"a holds 'BIGINT'; write lines such as `name: value`"),
            ("- a", r"column_types\.yaml holds \"?\['a'\]"),
            ("just words", "holds 'just words'; write lines such as"),
            ("A b: {x: BIGINT}", "'A b' is not a valid table name"),
            ("a: {x: BIGINT, y: DOUBLE, x: DOUBLE}", "line 1: .*duplicate key x"),
            ("a: {x: BIGINT}\na: {y: BIGINT}", "line 2: .*duplicate key a"),
            ("a: {x: BIGINT, X: DOUBLE}", "duplicate key X"),
            ("a: {x: BIGINT", "line 1: invalid YAML"),
            ("a:\n\tx: BIGINT", "line 2: invalid YAML"),
            ("a: {[x]: BIGINT}", "a name is not a text"),
            ("a: {? : BIGINT}", "a name is not a text"),
            ("a: *b", "invalid YAML"),
            ("a: 1\n---\nb: 2", "invalid YAML"),
            ("a: \x00", "invalid YAML"),
        ],
    )
    def test_invalid_types_are_rejected(self, config: Write, types: str, message: str) -> None:
        with pytest.raises(
            InvalidInputError, match=rf"column_types\.yaml.*{message}|{message}"
        ) as problem:
            read_rules(config(types=types))
        assert "column_types.yaml" in str(problem.value)
        assert "\n" not in str(problem.value)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ("x: mask", "x has the action 'mask'; use one of hash, drop"),
            ("x: Hash", "x has the action 'Hash'; use one of hash, drop"),
            ("x: true", "'true'; use one of hash, drop"),
            ("x: [hash]", "use one of hash, drop"),
            ("x", "holds 'x'; write lines such as `name: value`"),
            ("x: hash\nx: drop", "line 2: .*duplicate key x"),
        ],
    )
    def test_invalid_fields_are_rejected(self, config: Write, fields: str, message: str) -> None:
        with pytest.raises(InvalidInputError, match=rf"sensitive_fields\.yaml.*{message}"):
            read_rules(config(fields=fields))

    def test_type_of_a_hashed_column_is_rejected(self, config: Write) -> None:
        with pytest.raises(
            InvalidInputError, match=r"a\.x has a type, but sensitive_fields\.yaml says ha"
        ):
            read_rules(config(types="a: {X: BIGINT}", fields="x: hash"))

    def test_binary_file_is_rejected(self, config: Write) -> None:
        folder = config()
        (folder / "sensitive_fields.yaml").write_bytes(b"x: \xff\xfe")
        with pytest.raises(InvalidInputError, match=r"sensitive_fields\.yaml.*: invalid YAML"):
            read_rules(folder)

    @pytest.mark.parametrize(
        "name", ["sensitive_field.yaml", "sensitive_fields.yml", "sensitive-fields.yaml"]
    )
    def test_misnamed_file_is_rejected(self, config: Write, name: str) -> None:
        folder = config()
        (folder / name).write_text("x: hash")
        with pytest.raises(
            InvalidInputError, match=rf"{name} is not read; rename it to sensitive_fields\.yaml"
        ):
            read_rules(folder)
        (folder / name).rename(folder / "stations.yaml")
        assert read_rules(folder).sensitive == {}


class TestTrips:
    @pytest.mark.parametrize(
        ("types", "fields", "message"),
        [
            ("rides: {x: DOUBLE}", "", "there is no table 'rides'; use one of yellow_rides, gr"),
            ("", "PULocationID: hash", "action hash is not allowed for PULocationID: the indexes"),
            (
                "",
                "tpep_pickup_datetime: drop",
                "action drop is not allowed for tpep_pickup_datetime",
            ),
            ("", "PASSENGER_COUNT: drop", "action drop is not allowed for passenger_count"),
            (
                "yellow_rides: {total_amount: VARCHAR}",
                "",
                "total_amount cannot be VARCHAR: .*need DOUBLE",
            ),
            (
                "fhv_rides: {pickup_datetime: VARCHAR}",
                "",
                "cannot be VARCHAR.*need TIMESTAMP",
            ),
            ("yellow_rides: {PULocationID: DOUBLE}", "", "need SMALLINT or INTEGER or BIGINT"),
            ("yellow_rides: {VendorID: VARCHAR}", "", "VendorID would be VARCHAR and green_rides"),
        ],
    )
    def test_rules_on_key_columns_are_rejected(
        self, config: Write, types: str, fields: str, message: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=message):
            read_trip_rules(config(types, fields), "yellow")

    def test_types_of_both_colors_may_change_together(self, config: Write) -> None:
        both = "yellow_rides: {VendorID: VARCHAR}\ngreen_rides: {vendorid: VARCHAR}"
        assert read_trip_rules(config(both), "yellow").types["green_rides"] == {
            "vendorid": "VARCHAR"
        }

    @pytest.mark.parametrize(
        ("types", "fields", "message"),
        [
            ("green_rides: {fare: DOUBLE}", "", "2021-01.parquet has no column 'fare'; it has Ven"),
            ("green_rides: {hvfhs_license_num: VARCHAR}", "", "has no column 'hvfhs_license_num'"),
            (
                "",
                "hvfhs_license_number: hash",
                "has no column 'hvfhs_license_number'; it has VendorID",
            ),
        ],
    )
    def test_rule_on_an_unknown_column_is_rejected(
        self, config: Write, tmp_path: Path, key: None, types: str, fields: str, message: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=message):
            conform(GREEN, write_raw(tmp_path, {}), read_trip_rules(config(types, fields), "green"))

    def test_rule_on_a_column_of_other_files_is_accepted(
        self, config: Write, tmp_path: Path, key: None
    ) -> None:
        """For example, the coordinates of older months or the licenses of another color."""
        rules = read_rules(config("green_rides: {pickup_longitude: VARCHAR}", "tips: hash"))
        plan = conform(GREEN, write_raw(tmp_path, {"request_source": ["App", None]}), rules)
        assert plan.columns[-1] == ("request_source", "VARCHAR")

    @pytest.mark.parametrize(
        ("type", "arrow", "expected"),
        [
            ("SMALLINT", pa.int16(), [1, 2]),
            ("INTEGER", pa.int32(), [1, 2]),
            ("BIGINT", pa.int64(), [1, 2]),
            ("DOUBLE", pa.float64(), [1.0, 2.0]),
            ("VARCHAR", pa.string(), ["1", "2"]),
        ],
    )
    def test_rule_sets_the_type_in_the_file(
        self, config: Write, tmp_path: Path, type: str, arrow: pa.DataType, expected: list[Any]
    ) -> None:
        rules = read_rules(config(f"green_rides: {{VendorID: {type}, passenger_count: {type}}}"))
        raw = write_raw(tmp_path, {"passenger_count": [1.0, float("nan")]})
        plan = conform(GREEN, raw, rules)
        plan.write(tmp_path / "clean.parquet")
        assert kinds(tmp_path / "clean.parquet")["VendorID"] == arrow
        assert dict(plan.columns)["VendorID"] == type
        assert values(tmp_path / "clean.parquet", "VendorID") == expected
        assert values(tmp_path / "clean.parquet", "passenger_count") == [expected[0], None]
        assert f"VendorID                 {type}" in plan.preview()

    def test_rule_casts_times_and_texts(self, config: Write, tmp_path: Path) -> None:
        raw = write_raw(
            tmp_path,
            {
                "store_and_fwd_flag": ["2021-01-01 10:00:00", None],
                "request_source": ["7", "70000"],
                "other": [7, 8],
            },
        )
        rules = "store_and_fwd_flag: TIMESTAMP, request_source: INTEGER, other: VARCHAR"
        plan = conform(GREEN, raw, read_rules(config(f"green_rides: {{{rules}}}")))
        plan.write(tmp_path / "clean.parquet")
        types_by_name = kinds(tmp_path / "clean.parquet")
        assert types_by_name["store_and_fwd_flag"] == pa.timestamp("us")
        assert values(tmp_path / "clean.parquet", "request_source") == [7, 70000]
        assert values(tmp_path / "clean.parquet", "other") == ["7", "8"]

    @pytest.mark.parametrize(
        ("rule", "columns", "problem", "message"),
        [
            (
                "VendorID: SMALLINT",
                {"VendorID": [1, 70_000]},
                InvalidValueError,
                "VendorID holds 70000",
            ),
            (
                "tip_amount: BIGINT",
                {"tip_amount": [1.0, 1.5]},
                InvalidValueError,
                "tip_amount holds 1.5",
            ),
            ("note: DOUBLE", {"note": ["1", "many"]}, InvalidValueError, "note holds many"),
            (
                "tip_amount: TIMESTAMP",
                {},
                SchemaMismatchError,
                "tip_amount as DOUBLE, which cannot be cast to TIM",
            ),
        ],
    )
    def test_value_that_does_not_fit_is_rejected(
        self,
        config: Write,
        tmp_path: Path,
        rule: str,
        columns: dict[str, Any],
        problem: type[Exception],
        message: str,
    ) -> None:
        rules = read_rules(config(f"green_rides: {{{rule}}}"))
        with pytest.raises(problem, match=message):
            conform(GREEN, write_raw(tmp_path, columns), rules).write(tmp_path / "clean.parquet")
        assert not (tmp_path / "clean.parquet").exists()


class TestSensitive:
    def test_columns_are_hashed_and_dropped(
        self, config: Write, key: None, month_file: Callable[..., Path], tmp_path: Path
    ) -> None:
        raw, clean = month_file(FHVHV, 3000), tmp_path / "clean.parquet"
        conform(FHVHV, raw).write(tmp_path / "plain.parquet")
        fields = "HVFHS_license_num: hash\noriginating_base_num: hash\ntrip_time: hash\ntips: drop"
        plan = conform(FHVHV, raw, read_trip_rules(config(fields=fields), "fhvhv"))
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
        self, config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = "ü" * 100
        monkeypatch.setenv("NYC_TAXI_HASH_KEY", long)
        rules = read_rules(config(fields="note: hash"))
        conform(GREEN, write_raw(tmp_path, {"note": ["é", ""]}), rules).write(
            tmp_path / "c.parquet"
        )
        assert values(tmp_path / "c.parquet", "note") == [
            hmac.new(long.encode(), text.encode(), hashlib.sha256).hexdigest() for text in ("é", "")
        ]

    def test_invalid_sensitive_value_is_not_shown(
        self, config: Write, key: None, tmp_path: Path
    ) -> None:
        rules = read_rules(config(fields="VendorID: hash"))
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
        self, config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = config(fields="hvfhs_license_num: hash\nnote: hash")
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
        self, config: Write, monkeypatch: pytest.MonkeyPatch, prefect_server: None
    ) -> Callable[..., None]:
        """Use a config folder of the test in the flows."""

        def write(types: str = "", fields: str = "") -> None:
            monkeypatch.setattr(etl_web_to_local, "CONFIG", config(types, fields))

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
        key: None,
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

    @pytest.mark.slow_on("bigquery", "postgres")
    def test_table_older_than_the_rule_is_rejected(
        self, follow: Callable[..., None], key: None, published: Site, warehouse: EmptyWarehouse
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
