"""Generated values: each is cast to the declared type unchanged, or the month is rejected."""

from __future__ import annotations

import datetime
import math
import re
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from nyc_taxi.conform.casts import cast_column
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidInputError, NycTaxiError
from nyc_taxi.storage.duckdb_engine import literal
from nyc_taxi.trips.months import parse_months, trip_months
from nyc_taxi.trips.schemas import Column
from tests.support.raw_files import GREEN, write_raw

ALLOWED = {"BIGINT", "DOUBLE", "TIMESTAMP", "VARCHAR", "BOOLEAN", "DATE"}
"""What every warehouse takes."""
RANGES = {
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
}
MISSING = {"", "nan", "+nan", "-nan", "<na>", "nat", "na", "none", "null", "\\n"}
REJECTED = object()


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    """Prepare one statement per type: planning takes longer than the cast."""
    with duckdb.connect() as connection:
        for kind in (*RANGES, "DOUBLE", "TIMESTAMP"):
            sql = cast_column(Column("x", kind), "x", "VARCHAR", "file")  # type: ignore[arg-type]
            connection.execute(
                f"PREPARE to_{kind} AS SELECT {sql} FROM (SELECT CAST($1 AS VARCHAR) AS x)"
            )
        yield connection


def convert(db: duckdb.DuckDBPyConnection, kind: str, text: str) -> Any:
    try:
        [(value,)] = db.execute(f"EXECUTE to_{kind}({literal(text)})").fetchall()
    except duckdb.InvalidInputException as problem:
        assert "x holds " in str(problem)
        return REJECTED
    return value


def number(text: str) -> Decimal | None:
    """Parse a text independently; None if it is not a plain number."""
    if not set(text) <= set("0123456789+-.eE"):
        return None
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
digits = st.text("0123456789", min_size=1, max_size=22)
numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "+", " ", "$", "--"]),
    digits,
    st.one_of(st.just(""), st.builds(".{}".format, st.text("0123456789", max_size=18))),
    st.sampled_from(["", "", "", "e3", "E-2", "e+05", "e18", "f", ",5", "_0", "%", " ", "e999"]),
)
texts = st.one_of(
    numbers,
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.text(characters, max_size=12),
    st.sampled_from(
        [
            "1_000",
            "0x10",
            "0b1",
            "1,000",
            "\uff11\uff12",
            "\u0663",
            "½",
            "1e",
            ".",
            "-",
            "1.5.2",
            "1 2",
            "true",
            "∞",
        ]
    ),
)


@given(text=texts)
@settings(deadline=None)
@example("9007199254740993")
@example("9007199254740993e0")
@example("0.99999999999999999999e0")
@example("1e+05")
def test_text_is_cast_to_an_equal_integer_or_rejected(
    db: duckdb.DuckDBPyConnection, text: str
) -> None:
    read = text.strip(" \t\r\n")
    for kind, (low, high) in RANGES.items():
        value = convert(db, kind, text)
        expected = number(read)
        if read.lower() in MISSING:
            assert value is None
        elif (
            expected is None
            or expected != expected.to_integral_value()
            or not low <= expected <= high
        ):
            assert value is REJECTED, (kind, text)
        elif re.fullmatch(r"-?\d+(\.0+)?", read):
            assert value == expected
        else:
            assert value in (expected, REJECTED)


@given(text=texts)
@settings(deadline=None)
@example("9007199254740993")
@example("9007199254740991.9")
@example("1e400")
@example("Infinity")
def test_text_is_cast_to_an_equal_amount_or_rejected(
    db: duckdb.DuckDBPyConnection, text: str
) -> None:
    value, read = convert(db, "DOUBLE", text), text.strip(" \t\r\n")
    expected = number(read)
    if read.lower() in MISSING:
        assert value is None
    elif re.fullmatch(r"[+-]?inf(inity)?", read.lower()):
        assert value == float(read)
    elif expected is None or math.isinf(float(expected)):
        assert value is REJECTED, text
    else:
        exact = "e" in read.lower() or abs(expected) < 2**53 - 1
        assert value == float(expected) or (value is REJECTED and not exact)
        assert value is REJECTED or exact or expected == Decimal(value)


dates = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))
FORMATS = {
    "%Y-%m-%d %H:%M:%S": True,
    "%Y-%m-%dT%H:%M:%S": True,
    "%Y-%m-%d %H:%M:%S.%f": True,
    "%Y/%m/%d %H:%M": True,
    "%m/%d/%Y %I:%M:%S %p": True,
    "%m/%d/%Y %H:%M:%S": False,
    "%d.%m.%Y %H:%M:%S": False,
    "%m/%d/%y %H:%M": False,
    "%Y-%m-%dT%H:%M:%SZ": False,
    "%Y-%m-%d %H:%M:%S+00:00": False,
    "%Y-%m-%d %H:%M:%S-05": False,
    "%Y-%m-%d %H:%M:%S UTC": False,
    "%b %d %Y": False,
    "%Y%m%d": False,
    "%H:%M:%S": False,
    "%Y-%m-%d 24:%M:%S": False,
    "%Y-%m-%d %H:%M:60": False,
    "%Y-%m-%d %H:%M:%S.%f789": False,
    "%Y-%m-%d %H:%M:%S (BC)": False,
    "-%Y-%m-%d": False,
}


@given(moment=dates, format=st.sampled_from(list(FORMATS)))
@settings(deadline=None)
def test_text_is_cast_to_an_equal_timestamp_or_rejected(
    db: duckdb.DuckDBPyConnection, moment: datetime.datetime, format: str
) -> None:
    text = format_time(moment, format)
    value = convert(db, "TIMESTAMP", text)
    assert (
        value == datetime.datetime.strptime(text, format) if FORMATS[format] else value is REJECTED
    )


def format_time(moment: datetime.datetime, format: str) -> str:
    """Format a time with a year of four digits, which strftime does not do before 1000."""
    return moment.strftime(format.replace("%Y", f"{moment.year:04}"))


@given(text=st.text(characters, max_size=25))
@settings(deadline=None)
def test_other_text_is_rejected_as_timestamp(db: duckdb.DuckDBPyConnection, text: str) -> None:
    assume(text.strip(" \t\r\n").lower() not in MISSING)
    assume(not re.match(r"\s*\d", text))
    assert convert(db, "TIMESTAMP", text) is REJECTED


moments = st.integers(-(2**63), 2**63 - 1)
ARROW: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    **{
        f"{sign}int{bits}": (
            getattr(pa, f"{sign}int{bits}")(),
            st.integers(0 if sign else -(2 ** (bits - 1)), 2 ** (bits if sign else bits - 1) - 1),
        )
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    "float32": (pa.float32(), st.one_of(st.floats(width=32), st.integers(-300, 300).map(float))),
    "float64": (pa.float64(), st.one_of(st.floats(), st.integers(-(2**60), 2**60).map(float))),
    "decimal": (pa.decimal128(12, 2), st.decimals(-(10**9), 10**9, places=2)),
    "large decimal": (pa.decimal128(38, 10), st.decimals(-(10**20), 10**20, places=10)),
    "whole decimal": (pa.decimal128(38, 0), st.decimals(-(10**30), 10**30, places=0)),
    "string": (pa.string(), texts),
    "large string": (pa.large_string(), st.sampled_from(["Y", "n", "1.0", "NaN", " ", "B00013"])),
    "boolean": (pa.bool_(), st.booleans()),
    "dictionary": (
        pa.dictionary(pa.int8(), pa.string()),
        st.sampled_from(["1", "2", "Y", "False", "2021-01-01 00:00:00"]),
    ),
    **{
        f"timestamp[{unit}]": (pa.timestamp(unit), moments)
        for unit in ("s", "ms", "us", "ns")
    },
    "near timestamp[ns]": (pa.timestamp("ns"), st.integers(0, 2**40).map(lambda n: n * 1000)),
    "near timestamp[us]": (pa.timestamp("us"), st.integers(0, 2**50)),
    "zoned": (pa.timestamp("us", "UTC"), st.integers(0, 2**50)),
    "date": (pa.date32(), st.integers(-(2**31), 2**31 - 1)),
    "time": (pa.time64("us"), st.integers(0, 86_399_999_999)),
    "null": (pa.null(), st.none()),
    "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=3)),
    "struct": (pa.struct({"a": pa.int64()}), st.fixed_dictionaries({"a": st.integers(0, 9)})),
    "binary": (pa.binary(), st.binary(max_size=5)),
    "fixed binary": (pa.binary(3), st.binary(min_size=3, max_size=3)),
}  # fmt: skip
MICROSECONDS = {"s": 10**6, "ms": 1000, "us": 1, "ns": Decimal("0.001")}
EPOCH = datetime.datetime(1970, 1, 1)


@pytest.mark.few(2)
@given(data=st.data(), kind=st.sampled_from(list(ARROW)))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize(
    "column", ["passenger_count", "trip_distance", "lpep_dropoff_datetime", "store_and_fwd_flag"]
)
def test_value_of_any_arrow_type_stays_equal_or_is_rejected(
    column: str, kind: str, data: st.DataObject
) -> None:
    type, values = ARROW[kind]
    raw = [data.draw(st.one_of(st.none(), values)), data.draw(values)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            array = pa.array(raw, type)
            file = write_raw(folder, {column: array})
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
            return  # not a value of the type
        try:
            conform(GREEN, file).write(folder / "clean.parquet")
        except NycTaxiError as problem:
            assert "\n" not in str(problem)
            return
        clean = pq.read_table(folder / "clean.parquet")[column].to_pylist()
    for before, after in zip(raw, clean, strict=True):
        check_equal(column, type, before, after)


def check_equal(column: str, type: pa.DataType, before: Any, after: Any) -> None:
    if isinstance(before, bytes):
        before = before.decode()
    if isinstance(before, str):
        assert after == TEXTS[column](before), before
    elif before is None or (isinstance(before, float) and math.isnan(before)):
        assert after is None
    elif pa.types.is_timestamp(type):
        micros = (after - EPOCH) // datetime.timedelta(microseconds=1)
        assert micros == before * MICROSECONDS[type.unit]
    elif pa.types.is_date(type):
        assert (after - EPOCH) == datetime.timedelta(days=before)
    elif column == "store_and_fwd_flag":
        codes = {"true": "Y", "1": "Y", "1.0": "Y", "false": "N", "0": "N", "0.0": "N"}
        text = str(before).lower()
        if isinstance(before, bool) or text in codes:
            assert after == codes[text]
        else:
            assert Decimal(after) == Decimal(str(before)) or float(after) == float(before)
    elif isinstance(before, Decimal) and column == "trip_distance":
        assert after == float(before)
    else:
        assert after == before


def as_flag(text: str) -> str | None:
    key = text.strip(" \t\r\n").lower()
    if key in ("y", "yes", "t", "true", "1", "1.0"):
        return "Y"
    if key in ("n", "no", "f", "false", "0", "0.0"):
        return "N"
    return None if key and key in MISSING else text


def as_number(text: str) -> float | Decimal | None:
    read = text.strip(" \t\r\n").lower()
    if read in MISSING:
        return None
    return float(read) if "inf" in read else number(read)


TEXTS: dict[str, Any] = {
    "store_and_fwd_flag": as_flag,
    "passenger_count": as_number,
    "trip_distance": lambda text: None if (n := as_number(text)) is None else float(n),
    "lpep_dropoff_datetime": lambda text: (
        None if text.strip(" \t\r\n").lower() in MISSING else datetime.datetime.fromisoformat(text)
    ),
}


@given(data=st.data(), kind=st.sampled_from(list(ARROW)))
@settings(max_examples=25, deadline=None)
def test_undeclared_column_of_any_arrow_type_gets_a_portable_type(
    kind: str, data: st.DataObject
) -> None:
    type, values = ARROW[kind]
    with tempfile.TemporaryDirectory() as name:
        try:
            array = pa.array([None, data.draw(values)], type)
            file = write_raw(Path(name), {"note": array})
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
            return
        plan = conform(GREEN, file)
        assert dict(plan.columns)["note"] in ALLOWED
        try:
            plan.write(Path(name) / "clean.parquet")
        except NycTaxiError as problem:
            assert "note holds" in str(problem) or "cannot be read" in str(problem)


@given(text=st.one_of(st.text(characters, max_size=30), st.text("0123456789,- []", max_size=30)))
@settings(deadline=1000)
@example("1-999999999999")
@example("9" * 5000)
@example("1-" + "9" * 5000)
@example("\u0661")
@example("1,1")
@example("1\n\n2;")
def test_parse_months_accepts_or_rejects_any_text_in_one_line(text: str) -> None:
    try:
        months = parse_months(text)
        trips = trip_months("yellow", 2021, months)
    except InvalidInputError as problem:
        assert "\n" not in str(problem)
        assert len(str(problem)) < 300
        return
    assert months
    assert all(1 <= month <= 12 for month in months)
    assert len(set(months)) == len(months) == len(trips)
