"""Column rules: what a file may contain; invalid rules are rejected before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nyc_taxi.conform.column_rules import Rules, read_rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.conform.trip_column_rules import read_trip_rules
from nyc_taxi.errors import (
    InvalidInputError,
    InvalidValueError,
    SchemaMismatchError,
)
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES
from tests.support.column_rules import Write, kinds, values
from tests.support.processes import ROOT
from tests.support.raw_files import write_raw

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)
FHVHV = TripMonth("fhvhv", 2021, 1)


class TestReading:
    @pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "{}", "null"])
    def test_empty_files_change_nothing(
        self, write_rules: Write, tmp_path: Path, text: str
    ) -> None:
        if text != "null":
            rules = read_rules(write_rules(types=text, fields=text))
            assert (rules.types, rules.sensitive) == ({}, {})
        assert read_rules(tmp_path / "nowhere") == Rules(tmp_path / "nowhere", {}, {})
        assert read_rules(write_rules(types="yellow_rides:\n  # fare: DOUBLE\n")).types == {
            "yellow_rides": {}
        }

    def test_both_files_are_read(self, write_rules: Write) -> None:
        rules = read_rules(
            write_rules(
                types="a: {X: SMALLINT, no: VARCHAR}\nb: {x: DOUBLE}", fields="Y: hash\nz: drop"
            )
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
    def test_invalid_types_are_rejected(self, write_rules: Write, types: str, message: str) -> None:
        with pytest.raises(
            InvalidInputError, match=rf"column_types\.yaml.*{message}|{message}"
        ) as problem:
            read_rules(write_rules(types=types))
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
    def test_invalid_fields_are_rejected(
        self, write_rules: Write, fields: str, message: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=rf"sensitive_fields\.yaml.*{message}"):
            read_rules(write_rules(fields=fields))

    def test_type_of_a_hashed_column_is_rejected(self, write_rules: Write) -> None:
        with pytest.raises(
            InvalidInputError, match=r"a\.x has a type, but sensitive_fields\.yaml says ha"
        ):
            read_rules(write_rules(types="a: {X: BIGINT}", fields="x: hash"))

    def test_binary_file_is_rejected(self, write_rules: Write) -> None:
        folder = write_rules()
        (folder / "sensitive_fields.yaml").write_bytes(b"x: \xff\xfe")
        with pytest.raises(InvalidInputError, match=r"sensitive_fields\.yaml.*: invalid YAML"):
            read_rules(folder)

    @pytest.mark.parametrize(
        "name", ["sensitive_field.yaml", "sensitive_fields.yml", "sensitive-fields.yaml"]
    )
    def test_misnamed_file_is_rejected(self, write_rules: Write, name: str) -> None:
        folder = write_rules()
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
        self, write_rules: Write, types: str, fields: str, message: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=message):
            read_trip_rules(write_rules(types, fields), "yellow")

    def test_types_of_both_colors_may_change_together(self, write_rules: Write) -> None:
        both = "yellow_rides: {VendorID: VARCHAR}\ngreen_rides: {vendorid: VARCHAR}"
        assert read_trip_rules(write_rules(both), "yellow").types["green_rides"] == {
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
        self,
        write_rules: Write,
        tmp_path: Path,
        hash_key: None,
        types: str,
        fields: str,
        message: str,
    ) -> None:
        with pytest.raises(InvalidInputError, match=message):
            conform(
                GREEN, write_raw(tmp_path, {}), read_trip_rules(write_rules(types, fields), "green")
            )

    def test_rule_on_a_column_of_other_files_is_accepted(
        self, write_rules: Write, tmp_path: Path, hash_key: None
    ) -> None:
        """For example, the coordinates of older months or the licenses of another color."""
        rules = read_rules(write_rules("green_rides: {pickup_longitude: VARCHAR}", "tips: hash"))
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
        self, write_rules: Write, tmp_path: Path, type: str, arrow: pa.DataType, expected: list[Any]
    ) -> None:
        rules = read_rules(
            write_rules(f"green_rides: {{VendorID: {type}, passenger_count: {type}}}")
        )
        raw = write_raw(tmp_path, {"passenger_count": [1.0, float("nan")]})
        plan = conform(GREEN, raw, rules)
        plan.write(tmp_path / "clean.parquet")
        assert kinds(tmp_path / "clean.parquet")["VendorID"] == arrow
        assert dict(plan.columns)["VendorID"] == type
        assert values(tmp_path / "clean.parquet", "VendorID") == expected
        assert values(tmp_path / "clean.parquet", "passenger_count") == [expected[0], None]
        assert f"VendorID                 {type}" in plan.preview()

    def test_rule_casts_times_and_texts(self, write_rules: Write, tmp_path: Path) -> None:
        raw = write_raw(
            tmp_path,
            {
                "store_and_fwd_flag": ["2021-01-01 10:00:00", None],
                "request_source": ["7", "70000"],
                "other": [7, 8],
            },
        )
        rules = "store_and_fwd_flag: TIMESTAMP, request_source: INTEGER, other: VARCHAR"
        plan = conform(GREEN, raw, read_rules(write_rules(f"green_rides: {{{rules}}}")))
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
        write_rules: Write,
        tmp_path: Path,
        rule: str,
        columns: dict[str, Any],
        problem: type[Exception],
        message: str,
    ) -> None:
        rules = read_rules(write_rules(f"green_rides: {{{rule}}}"))
        with pytest.raises(problem, match=message):
            conform(GREEN, write_raw(tmp_path, columns), rules).write(tmp_path / "clean.parquet")
        assert not (tmp_path / "clean.parquet").exists()
