"""Column rules of a test, and the values and types of Parquet files."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

KEY = "a secret of the tests"
Write = Callable[..., Path]


@pytest.fixture
def write_rules(tmp_path: Path) -> Write:
    """Write a folder with both files: write_rules(types="...", fields="...")."""

    def write(types: str = "", fields: str = "") -> Path:
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "column_types.yaml").write_text(types)
        (folder / "sensitive_fields.yaml").write_text(fields)
        return folder

    return write


@pytest.fixture
def hash_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYC_TAXI_HASH_KEY", KEY)


def hashed(value: object) -> str:
    return hmac.new(KEY.encode(), str(value).encode(), hashlib.sha256).hexdigest()


def kinds(parquet: Path) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in pq.read_schema(parquet)}


def values(parquet: Path, column: str) -> list[Any]:
    return list(pq.read_table(parquet, columns=[column])[column].to_pylist())
