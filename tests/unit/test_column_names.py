"""Column names of raw files: distinct, visible, and valid in every warehouse, or rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.column_names import check_names
from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.conform.readers import open_raw, read_header
from nyc_taxi.errors import SchemaMismatchError
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from tests.support.csv_files import FHV, FHV_NAMES, TIMES, fhv, write
from tests.support.raw_files import GREEN, write_raw

DUPLICATES = [
    (["x", "x"], "x twice (columns 1 and 2)"),
    (["Foo", "a", "foo"], "foo twice (columns 1 and 3)"),
    (["a", "x", " X "], "X twice (columns 2 and 3)"),
    (["É", "é"], "é twice (columns 1 and 2)"),
]


@pytest.mark.parametrize(("columns", "message"), DUPLICATES)
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_names_that_differ_only_by_case_or_blanks_are_rejected(
    tmp_path: Path, columns: list[str], message: str, format: str
) -> None:
    raw = tmp_path / f"{FHV.stem}.{format}"
    if format == "csv":
        raw.write_text(",".join(columns) + "\n" + ",".join("1" * len(columns)) + "\n")
    else:
        pq.write_table(pa.table([pa.array([1])] * len(columns), names=columns), raw)
    with pytest.raises(SchemaMismatchError, match=raw.name) as problem:
        read_header(raw)
    assert message in str(problem.value)
    with pytest.raises(SchemaMismatchError), open_raw(raw):
        pass


@pytest.mark.parametrize(
    "duplicate", ["affiliated_base_number", "Affiliated_Base_Number ", "\ufeff{}"]
)
@pytest.mark.parametrize("format", ["csv", "parquet"])
@pytest.mark.parametrize("action", ["drop", "hash"])
def test_duplicate_of_a_sensitive_column_is_rejected(
    tmp_path: Path, duplicate: str, format: str, action: Any
) -> None:
    """DuckDB renamed the second column to ..._1, which no rule covered."""
    columns = [*FHV_NAMES.split(","), duplicate.format("affiliated_base_number")]
    values = ["B1", *TIMES.split(","), "1", "2", "", "secret", "secret"]
    raw = tmp_path / f"{FHV.stem}.{format}"
    if format == "csv":
        raw.write_text(f"{','.join(columns)}\n{','.join(values)}\n")
    else:
        pq.write_table(pa.table([pa.array([v]) for v in values], names=columns), raw)
    with pytest.raises(SchemaMismatchError, match=r"columns 7 and 8|invisible|column 8"):
        conform(FHV, raw, Rules(sensitive={"affiliated_base_number": action}))


@pytest.mark.parametrize("name", ["\ufeffx", "x\u200b", "x\x00", "x\ny", " "])
def test_invisible_name_is_rejected(tmp_path: Path, name: str) -> None:
    raw = tmp_path / "raw.parquet"
    pq.write_table(pa.table([[1], [2]], names=["a", name]), raw)
    with pytest.raises(SchemaMismatchError, match=r"invisible|an empty name"):
        check_names(read_header(raw), raw.name)


def test_byte_order_mark_is_removed_from_the_first_name(tmp_path: Path) -> None:
    """It turned a declared column into nulls and added an undeclared one."""
    raw = write(tmp_path, ("\ufeff" + fhv("B00001")).encode())
    plan = conform(FHV, raw)
    assert plan.undeclared == ()
    assert plan.write(tmp_path / "clean.parquet").rows == 1
    quoted = fhv("B00001").replace("dispatching_base_num,", '"dispatching_base_num",')
    assert conform(FHV, write(tmp_path, "\ufeff" + quoted)).undeclared == ()


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
