"""What config/ says is what every store gets; what it cannot mean is one line, before any work."""

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
from nyc_taxi.conform.readers import reading
from nyc_taxi.conform.trip_column_rules import trip_rules
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
    """A folder with both files: config(types="...", fields="...")."""

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
    def test_nothing_said_changes_nothing(self, config: Write, tmp_path: Path, text: str) -> None:
        if text != "null":
            rules = read_rules(config(types=text, fields=text))
            assert (rules.types, rules.sensitive) == ({}, {})
        assert read_rules(tmp_path / "nowhere") == Rules(tmp_path / "nowhere", {}, {})
        assert read_rules(config(types="yellow_rides:\n  # fare: DOUBLE\n")).types == {
            "yellow_rides": {}
        }

    def test_both_files(self, config: Write) -> None:
        rules = read_rules(
            config(types="a: {X: SMALLINT, no: VARCHAR}\nb: {x: DOUBLE}", fields="Y: hash\nz: drop")
        )
        assert rules.types == {"a": {"x": "SMALLINT", "no": "VARCHAR"}, "b": {"x": "DOUBLE"}}
        assert rules.sensitive == {"y": "hash", "z": "drop"}

    def test_the_repository_s_own(self) -> None:
        assert not read_rules(ROOT / "flows" / "config").types
        for color in SERVICES:
            assert not trip_rules(ROOT / "flows" / "config", color).sensitive
        own = read_rules(ROOT / "flows" / "reference" / "zones" / "config")
        assert own.types == {"zones": {"locationid": "SMALLINT"}}

    @pytest.mark.parametrize(
        ("types", "says"),
        [
            ("a: {x: INT}", "a: x has the type 'INT'; write one of SMALLINT, INTEGER, BIGINT, DOU"),
            ("a: {x: smallint}", "x has the type 'smallint'; write one of"),
            ("a: {x: }", "x has the type ''; write one of"),
            ("a: {x: [BIGINT]}", r"x has the type \"?\['BIGINT'\]"),
            ("a: {x: {y: BIGINT}}", "x has the type"),
            ("a: BIGINT", r"a holds 'BIGINT'; write lines like `name: value`"),
            ("- a", r"column_types\.yaml holds \"?\['a'\]"),
            ("just words", "holds 'just words'; write lines like"),
            ("A b: {x: BIGINT}", "no table can be called 'A b'"),
            ("a: {x: BIGINT, y: DOUBLE, x: DOUBLE}", "line 1 .*: x is there twice"),
            ("a: {x: BIGINT}\na: {y: BIGINT}", "line 2 .*: a is there twice"),
            ("a: {x: BIGINT, X: DOUBLE}", "X is there twice"),
            ("a: {x: BIGINT", "line 1 is no YAML"),
            ("a:\n\tx: BIGINT", "line 2 is no YAML"),
            ("a: {[x]: BIGINT}", "a name is no text"),
            ("a: {? : BIGINT}", "a name is no text"),
            ("a: *b", "is no YAML"),
            ("a: 1\n---\nb: 2", "is no YAML"),
            ("a: \x00", "is no YAML"),
        ],
    )
    def test_types_that_cannot_be(self, config: Write, types: str, says: str) -> None:
        with pytest.raises(
            InvalidInputError, match=rf"column_types\.yaml.*{says}|{says}"
        ) as problem:
            read_rules(config(types=types))
        assert "column_types.yaml" in str(problem.value)
        assert "\n" not in str(problem.value)

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ("x: mask", "x has the thing to do 'mask'; write one of hash, drop"),
            ("x: Hash", "x has the thing to do 'Hash'; write one of hash, drop"),
            ("x: true", "'true'; write one of hash, drop"),
            ("x: [hash]", "write one of hash, drop"),
            ("x", "holds 'x'; write lines like `name: value`"),
            ("x: hash\nx: drop", "line 2 .*: x is there twice"),
        ],
    )
    def test_fields_that_cannot_be(self, config: Write, fields: str, says: str) -> None:
        with pytest.raises(InvalidInputError, match=rf"sensitive_fields\.yaml.*{says}"):
            read_rules(config(fields=fields))

    def test_a_type_for_what_is_hashed(self, config: Write) -> None:
        with pytest.raises(
            InvalidInputError, match=r"a\.x has a type, and sensitive_fields\.yaml says ha"
        ):
            read_rules(config(types="a: {X: BIGINT}", fields="x: hash"))

    def test_bytes_that_are_no_text(self, config: Write) -> None:
        folder = config()
        (folder / "sensitive_fields.yaml").write_bytes(b"x: \xff\xfe")
        with pytest.raises(InvalidInputError, match=r"sensitive_fields\.yaml.* is no YAML"):
            read_rules(folder)

    @pytest.mark.parametrize(
        "name", ["sensitive_field.yaml", "sensitive_fields.yml", "sensitive-fields.yaml"]
    )
    def test_a_file_that_would_not_be_read(self, config: Write, name: str) -> None:
        folder = config()
        (folder / name).write_text("x: hash")
        with pytest.raises(
            InvalidInputError, match=rf"{name} is not read; call it sensitive_fields\.yaml"
        ):
            read_rules(folder)
        (folder / name).rename(folder / "stations.yaml")
        assert read_rules(folder).sensitive == {}


class TestTrips:
    @pytest.mark.parametrize(
        ("types", "fields", "says"),
        [
            ("rides: {x: DOUBLE}", "", "there is no table 'rides'; name one of yellow_rides, gr"),
            ("", "PULocationID: hash", "hash cannot be for PULocationID: .*indexed"),
            ("", "tpep_pickup_datetime: drop", "drop cannot be for tpep_pickup_datetime"),
            ("", "PASSENGER_COUNT: drop", "drop cannot be for passenger_count"),
            (
                "yellow_rides: {total_amount: VARCHAR}",
                "",
                "total_amount cannot .*to be DOUBLE",
            ),
            (
                "fhv_rides: {pickup_datetime: VARCHAR}",
                "",
                "cannot be VARCHAR.*to be TIMESTAMP",
            ),
            ("yellow_rides: {PULocationID: DOUBLE}", "", "to be SMALLINT or INTEGER or BIGINT"),
            ("yellow_rides: {VendorID: VARCHAR}", "", "VendorID would be VARCHAR and green_rides"),
        ],
    )
    def test_what_tables_reports_and_the_view_need(
        self, config: Write, types: str, fields: str, says: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=says):
            trip_rules(config(types, fields), "yellow")

    def test_types_of_both_colours_may_change_together(self, config: Write) -> None:
        both = "yellow_rides: {VendorID: VARCHAR}\ngreen_rides: {vendorid: VARCHAR}"
        assert trip_rules(config(both), "yellow").types["green_rides"] == {"vendorid": "VARCHAR"}

    @pytest.mark.parametrize(
        ("types", "fields", "says"),
        [
            ("green_rides: {fare: DOUBLE}", "", "2021-01.parquet has no column 'fare'; it has Ven"),
            ("green_rides: {hvfhs_license_num: VARCHAR}", "", "has no column 'hvfhs_license_num'"),
            ("", "hvfhs_licence_num: hash", "has no column 'hvfhs_licence_num'; it has VendorID"),
        ],
    )
    def test_a_column_that_is_nowhere(
        self, config: Write, tmp_path: Path, key: None, types: str, fields: str, says: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=says):
            conform(GREEN, write_raw(tmp_path, {}), trip_rules(config(types, fields), "green"))

    def test_a_column_that_other_files_have(self, config: Write, tmp_path: Path, key: None) -> None:
        """The coordinates of older months, the licences of another colour."""
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
    def test_types_in_the_file(
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

    def test_times_and_texts(self, config: Write, tmp_path: Path) -> None:
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
        found = kinds(tmp_path / "clean.parquet")
        assert found["store_and_fwd_flag"] == pa.timestamp("us")
        assert values(tmp_path / "clean.parquet", "request_source") == [7, 70000]
        assert values(tmp_path / "clean.parquet", "other") == ["7", "8"]

    @pytest.mark.parametrize(
        ("rule", "columns", "problem", "says"),
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
                "tip_amount as DOUBLE, from which no TIM",
            ),
        ],
    )
    def test_values_that_do_not_fit(
        self,
        config: Write,
        tmp_path: Path,
        rule: str,
        columns: dict[str, Any],
        problem: type[Exception],
        says: str,
    ) -> None:
        rules = read_rules(config(f"green_rides: {{{rule}}}"))
        with pytest.raises(problem, match=says):
            conform(GREEN, write_raw(tmp_path, columns), rules).write(tmp_path / "clean.parquet")
        assert not (tmp_path / "clean.parquet").exists()


class TestSensitive:
    def test_hashed_and_dropped(
        self, config: Write, key: None, month_file: Callable[..., Path], tmp_path: Path
    ) -> None:
        raw, clean = month_file(FHVHV, 3000), tmp_path / "clean.parquet"
        conform(FHVHV, raw).write(tmp_path / "plain.parquet")
        fields = "HVFHS_license_num: hash\noriginating_base_num: hash\ntrip_time: hash\ntips: drop"
        plan = conform(FHVHV, raw, trip_rules(config(fields=fields), "fhvhv"))
        assert plan.write(clean).rows == 3000
        for column in ("hvfhs_license_num", "originating_base_num", "trip_time"):
            known = values(tmp_path / "plain.parquet", column)
            assert values(clean, column) == [None if v is None else hashed(v) for v in known]
        assert None in values(clean, "originating_base_num")
        assert "tips" not in kinds(clean)
        assert "tips" not in dict(plan.columns)
        assert KEY not in repr(plan) + plan.preview()
        assert not any(text in clean.read_bytes() for text in (b"HV0003", b"HV0005"))

    def test_a_long_key(
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

    def test_a_value_that_does_not_fit_is_not_shown(
        self, config: Write, key: None, tmp_path: Path
    ) -> None:
        rules = read_rules(config(fields="VendorID: hash"))
        raw = write_raw(tmp_path, {"VendorID": ["1", "My Name"]})
        with pytest.raises(
            InvalidValueError, match="VendorID holds a value not to be shown"
        ) as problem:
            conform(GREEN, raw, rules).write(tmp_path / "clean.parquet")
        assert "My Name" not in str(problem.value)

    def test_a_row_that_cannot_be_read_is_not_shown(self, tmp_path: Path) -> None:
        raw = tmp_path / "green_tripdata_2021-01.csv"
        raw.write_text("VendorID,note\n1,a\n1,My Name,b\n")
        says = "Expected 2 columns, got 3; nothing"
        with pytest.raises(CorruptFileError, match=says) as problem, reading(raw) as db:
            db.execute("FROM raw").fetchall()
        assert "My Name" not in str(problem.value)

    def test_without_a_key(
        self, config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = config(fields="hvfhs_license_num: hash\nnote: hash")
        with pytest.raises(
            InvalidInputError, match="hashes columns, and NYC_TAXI_HASH_KEY is not set; put"
        ):
            trip_rules(folder, "fhvhv")
        with monkeypatch.context() as environment:
            environment.setenv("NYC_TAXI_HASH_KEY", "too short")
            with pytest.raises(
                InvalidInputError, match="NYC_TAXI_HASH_KEY is shorter than"
            ) as problem:
                trip_rules(folder, "fhvhv")
            assert "too short" not in str(problem.value)
        rules = trip_rules(folder, "green")  # which has no licences
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
        """The flows' config folder is the test's."""

        def write(types: str = "", fields: str = "") -> None:
            monkeypatch.setattr(etl_web_to_local, "CONFIG", config(types, fields))

        return write

    @pytest.fixture(params=WAREHOUSES)
    def place(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> EmptyWarehouse:
        place = WAREHOUSES[request.param](request)
        monkeypatch.setenv("NYC_TAXI_WAREHOUSE", place.address)
        return place

    def test_lake_and_warehouse(
        self,
        follow: Callable[..., None],
        key: None,
        published: Site,
        place: EmptyWarehouse,
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
        types = place.query(
            "SELECT lower(column_name), lower(data_type) "
            "FROM dezoomcamp.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'yellow_rides'"
            if place.address.startswith("bigquery")
            else "SELECT lower(column_name), lower(data_type) FROM information_schema.columns "
            "WHERE table_name = 'yellow_rides'"
        )
        whole = place.address.startswith("bigquery")
        found = dict(types)
        assert found["pulocationid"] == ("int64" if whole else "smallint")
        assert found["passenger_count"] == ("int64" if whole else "integer")
        assert found["ratecodeid"] in ("float64", "double", "double precision")
        assert found["payment_type"] in ("string", "varchar", "text")
        assert "store_and_fwd_flag" not in found
        vendors = place.query(
            "SELECT trip_month, VendorID, count(*), min(payment_type) FROM dezoomcamp.rides "
            "WHERE color = 'yellow' GROUP BY trip_month, VendorID ORDER BY trip_month, VendorID"
        )
        ids = {vendor for _, vendor, _, _ in vendors}
        assert {hashed(1), hashed(2)} <= ids <= {hashed(id) for id in range(1, 8)}
        for month in (YELLOW, FEBRUARY):  # the same hash in both
            with duckdb.connect() as db:
                raw = published.folder / f"{month.stem}.parquet"
                counts = db.execute(f"SELECT VendorID, count(*) FROM '{raw}' GROUP BY 1").fetchall()
            there = {v: count for first, v, count, _ in vendors if first == month.first_day}
            assert there == {hashed(id): count for id, count in counts}
        assert place.query("SELECT count(*), count(passenger_count) FROM dezoomcamp.rides") == [
            (6000, 6000)
        ]
        with pytest.raises(Exception, match="store_and_fwd_flag"):
            place.query("SELECT store_and_fwd_flag FROM dezoomcamp.rides")

    def test_a_table_from_before_the_rule(
        self, follow: Callable[..., None], key: None, published: Site, place: EmptyWarehouse
    ) -> None:
        follow()
        etl_web_to_bq([1], 2021, "yellow")
        follow(fields="store_and_fwd_flag: drop")
        assert etl_web_to_bq([1], 2021, "yellow") == 2000
        if not place.address.startswith("bigquery"):  # which has one whole number
            follow("yellow_rides: {passenger_count: SMALLINT}")
            narrower = r"(?i)has passenger_count as bigint, the file as smallint; run "
            with pytest.raises(PartialFailureError, match=narrower):
                etl_web_to_bq([1], 2021, "yellow")
            assert place.open().count(YELLOW) == 2000
        follow(fields="VendorID: hash")
        with pytest.raises(
            PartialFailureError, match=r"(?i)has vendorid as \w+, the file as \w+; r"
        ):
            etl_web_to_bq([2], 2021, "yellow")
        assert place.open().count(FEBRUARY) == 0
        assert place.query("SELECT count(*), count(VendorID) FROM dezoomcamp.rides") == [
            (2000, 2000)
        ]

    def test_the_command_of_the_message_mends_it(
        self,
        follow: Callable[..., None],
        published: Site,
        postgres: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for place in (
            EmptyWarehouse(f"duckdb:{tmp_path / 'mended.duckdb'}", lambda query: []),
            EmptyWarehouse("postgres:no-such-block", lambda query: []),
        ):
            monkeypatch.setenv("NYC_TAXI_WAREHOUSE", place.address)
            follow("yellow_rides: {passenger_count: SMALLINT}")
            etl_web_to_bq([1], 2021, "yellow")
            follow()
            with pytest.raises(PartialFailureError) as problem:
                etl_web_to_bq([2], 2021, "yellow")
            mend = re.split("; run |, or rename", str(problem.value))[1]
            assert "passenger_count type bigint" in mend.replace('"', "").lower()
            if place.address.startswith("duckdb"):
                with duckdb.connect(place.address.partition(":")[2]) as db:
                    db.execute(mend)
            else:
                with closing(psycopg2.connect(postgres)) as link, link, link.cursor() as cursor:
                    cursor.execute(mend)
            assert etl_web_to_bq([2], 2021, "yellow") == 2000
            assert place.open().count(YELLOW) == place.open().count(FEBRUARY) == 2000

    def test_refused_before_anything_is_written(
        self, follow: Callable[..., None], published: Site, tmp_path: Path
    ) -> None:
        follow(fields="VendorID: hash")
        with pytest.raises(InvalidInputError, match="NYC_TAXI_HASH_KEY is not set"):
            etl_web_to_gcs("yellow", 2021, 1)
        assert not published.requests
        assert not (tmp_path / "lake").exists()
        assert not list(tmp_path.rglob("*.parquet.part"))
        assert not (tmp_path / "data" / "yellow").exists()

    def test_the_scripts_read_the_folder_beside_them(
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
