"""Files in the lake: a warehouse loads only those that these flows wrote."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from etl_gcs_to_bq import etl_gcs_to_bq
from nyc_taxi.conform.column_rules import EMPTY_RULES, Rules
from nyc_taxi.conform.conformed_files import check_conformed
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import NycTaxiError, SchemaMismatchError, StorageError
from nyc_taxi.trips.months import TripMonth
from tests.support.raw_files import GREEN, sql, write_raw

YELLOW = TripMonth("yellow", 2021, 1)


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
