"""The queries of the report give the same numbers on every warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nyc_taxi.report.payload import make_payload
from nyc_taxi.report.queries import read_gold
from nyc_taxi.transform.targets.registry import open_target
from synthetic_tlc.gold import write_gold
from tests.support.warehouses import WAREHOUSES

MONTHS = [(service, date(2024, 1, 1)) for service in ("yellow", "fhv", "fhvhv")]
ROWS = 40
TYPES = {
    "postgres": {"DOUBLE": "DOUBLE PRECISION", "VARCHAR": "TEXT", "INTEGER": "BIGINT"},
    "bigquery": {
        **dict.fromkeys(("INTEGER", "BIGINT"), "INT64"),
        **{"DOUBLE": "FLOAT64", "VARCHAR": "STRING", "TIMESTAMP": "DATETIME"},
    },
    "spark": {"VARCHAR": "STRING", "TIMESTAMP": "TIMESTAMP_NTZ", "DECIMAL": "DECIMAL(18, 2)"},
}
"""Type of DuckDB -> type of the warehouse, for each warehouse that is compared with it."""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A DuckDB warehouse with the first rows of each gold table."""
    path = tmp_path / "small.duckdb"
    write_gold(path, MONTHS, None, scale=0.001)
    with duckdb.connect(str(path)) as db:
        for (table,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            if not table.startswith("dim_"):
                db.execute(
                    f"CREATE OR REPLACE TABLE gold.{table} AS FROM gold.{table}"
                    f" ORDER BY ALL LIMIT {ROWS}"
                )
        db.execute("DELETE FROM gold.dim_date WHERE year(date_day) <> 2024")
    return path


def statements(path: Path, types: dict[str, str]) -> Iterator[str]:
    """Yield the SQL that creates the same tables elsewhere."""
    with duckdb.connect(str(path), read_only=True) as db:
        for (table,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            described = db.execute(f"DESCRIBE gold.{table}").fetchall()
            kinds = {name: _type(kind, types) for name, kind, *_ in described}
            yield f"CREATE TABLE gold.{table} ({', '.join(f'{n} {k}' for n, k in kinds.items())})"
            rows = [
                ", ".join(
                    f"CAST({_literal(value)} AS {kind})"
                    for value, kind in zip(row, kinds.values(), strict=True)
                )
                for row in db.execute(f"FROM gold.{table}").fetchall()
            ]
            if rows:
                yield f"INSERT INTO gold.{table} SELECT {' UNION ALL SELECT '.join(rows)}"


def _type(kind: str, types: dict[str, str]) -> str:
    if kind.startswith(("DECIMAL", "HUGEINT")):
        return types.get("DECIMAL", "NUMERIC")
    return types.get(kind, kind)


def _literal(value: Any) -> str:
    return "NULL" if value is None else f"'{value}'"


@pytest.mark.slow_on("bigquery")
@pytest.mark.parametrize("kind", TYPES)
def test_numbers_are_equal_on_every_warehouse(
    kind: str, small: Path, request: pytest.FixtureRequest
) -> None:
    expected = read_gold(open_target(f"duckdb:{small}"))
    place = WAREHOUSES[kind](request)
    target = open_target(place.address)
    assert read_gold(target) == {}
    target.execute("CREATE SCHEMA gold", *statements(small, TYPES[kind]))
    found, wanted = (make_payload(rows, []) for rows in (read_gold(target), expected))
    assert json.dumps(found, allow_nan=False) == json.dumps(wanted, allow_nan=False)
