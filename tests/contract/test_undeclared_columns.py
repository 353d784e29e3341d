"""Undeclared columns: each gets a type that every warehouse takes."""

from __future__ import annotations

import datetime
import hashlib
import hmac
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.plan import conform
from tests.support.column_rules import KEY
from tests.support.raw_files import GREEN, conformed, rejection, sql, write_raw


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
