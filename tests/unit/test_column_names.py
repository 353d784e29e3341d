"""Column names of raw files: distinct, visible, and valid in every warehouse, or rejected."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import SchemaMismatchError
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from tests.support.raw_files import GREEN, write_raw


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
