"""Contract of every warehouse: values of every type are kept, others are rejected."""

import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.bigquery.warehouse import BigQueryWarehouse
from tests.support.month_loads import FILL, Clean
from tests.support.warehouses import EmptyWarehouse

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)


def with_column(file: Path, name: str, values: pa.Array, target: Path) -> Path:
    """Write the first trips of a month with a column added or replaced."""
    table = pq.read_table(file).slice(0, len(values))
    at = table.schema.get_field_index(name)
    if at >= 0:
        pq.write_table(table.set_column(at, name, values), target)
    else:
        pq.write_table(table.append_column(name, values), target)
    return target


def test_load_keeps_values_of_every_type(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    table = pq.read_table(clean(YELLOW, 2000)).slice(0, 3)
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "a_truth": (pa.bool_(), [True, False, None]),
        "a_day": (pa.date32(), [datetime.date(1970, 1, 1), datetime.date(2021, 2, 28), None]),
        "a_price": (
            pa.decimal128(18, 3),
            [Decimal("123456789012345.678"), Decimal("-0.001"), None],
        ),
        "a_number": (pa.int64(), [2**63 - 1, -(2**63), None]),
        "a_double": (pa.float64(), [0.1, -1e300, None]),
        "a_text": (pa.string(), ["é 漢", "", None]),
        "a_time": (pa.timestamp("us"), [datetime.datetime(2021, 1, 1, 1, 2, 3, 4), None, None]),
    }
    for name, (kind, values) in columns.items():
        table = table.append_column(name, pa.array(values, kind))
    file = tmp_path / "typed.parquet"
    pq.write_table(table, file)
    for _ in range(2):
        assert target.open().replace_month(YELLOW, file, FILL) == 3
        stored = target.query(f"SELECT {', '.join(columns)} FROM dezoomcamp.yellow_rides")
        expected = zip(*(values for _, values in columns.values()), strict=True)
        assert sorted(map(repr, stored)) == sorted(map(repr, expected))
    assert target.open().replace_table("typed", file) == 3
    assert target.query("SELECT sum(a_price) FROM dezoomcamp.typed") == [
        (Decimal("123456789012345.677"),)
    ]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "kind",
    [pa.uint64(), pa.binary(), pa.time64("us"), pa.list_(pa.int64()), pa.struct({"a": pa.int64()})],
    ids=str,
)
def test_load_rejects_unsupported_types(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path, kind: pa.DataType
) -> None:
    file = with_column(clean(YELLOW, 2000), "odd", pa.array([None], kind), tmp_path / "odd.parquet")
    for load in (
        partial(target.open().replace_month, YELLOW, file, FILL),
        partial(target.open().replace_table, "odd", file),
    ):
        with pytest.raises(StorageError, match="odd as "):
            load()
    assert target.open().count(YELLOW) == 0


@pytest.mark.slow_on("bigquery")
def test_load_rejects_integers_too_large_for_a_double_column(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    """Integers may be loaded into a DOUBLE column only if none loses a digit."""
    file, odd = clean(YELLOW, 2000), tmp_path / "odd.parquet"
    with_column(file, "an extra", pa.array([0.5, None]), odd)
    target.open().replace_month(YELLOW, odd, FILL)
    exact = [2**53, -(2**53), None]
    with_column(file, "an extra", pa.array(exact, pa.int64()), odd)
    assert target.open().replace_month(FEBRUARY, odd, FILL) == 3
    with_column(file, "an extra", pa.array([2**53 + 1, 1], pa.int64()), odd)
    with pytest.raises(StorageError, match="an extra"):
        target.open().replace_month(FEBRUARY, odd, FILL)
    assert target.open().count(FEBRUARY) == 3


@pytest.mark.slow_on("bigquery")
def test_load_rejects_a_changed_type_of_a_declared_column(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    """As after a change of config/column_types.yaml."""
    file, other = clean(YELLOW, 2000), tmp_path / "other.parquet"
    target.open().replace_month(YELLOW, file, FILL)
    kinds = [pa.float64(), pa.string()]
    if not isinstance(target.open(), BigQueryWarehouse):  # BigQuery has one integer type
        kinds += [pa.int16(), pa.int32()]
    for kind in kinds:
        with_column(file, "payment_type", pa.array([1, 2], pa.int64()).cast(kind), other)
        with pytest.raises(
            StorageError, match=r"(?i)column payment_type is .+ in the file; .*(ALTER|RENAME)"
        ):
            target.open().replace_month(FEBRUARY, other, FILL)
    assert target.open().count(FEBRUARY) == 0
