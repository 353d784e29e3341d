"""Property tests: binary COPY stores what PostgreSQL reads from text."""

import io
import math
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import connection

from nyc_taxi.errors import StorageError
from nyc_taxi.warehouses.postgres.binary_copy import encode

OLDEST, NEWEST = -210_866_803_200_000_000, 2**63 - 2
"""PostgreSQL's first timestamp, and Arrow's last one, in microseconds since 1970."""
FIRST_DAY, LAST_DAY = -2_440_588, 2_145_042_905
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def db(postgres_server: str) -> Iterator[connection]:
    with closing(psycopg2.connect(postgres_server)) as link:
        link.autocommit = True
        yield link


def whole(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "boolean": (pa.bool_(), st.booleans()),
    "smallint": (pa.int16(), whole(16)),
    "integer": (pa.int32(), whole(32)),
    "bigint": (pa.int64(), whole(64)),
    "double precision": (pa.float64(), st.floats(width=64)),
    "date": (pa.date32(), st.integers(FIRST_DAY, LAST_DAY)),
    "timestamp": (pa.timestamp("us"), st.integers(OLDEST, NEWEST)),
    "numeric(9,2)": (pa.decimal128(9, 2), st.decimals(-9999999, 9999999, places=2)),
    "numeric(38,17)": (pa.decimal128(38, 17), st.decimals(-(10**20), 10**20, places=17)),
    "numeric(18,0)": (pa.decimal128(18, 0), st.decimals(-(10**17), 10**17, places=0)),
    "text": (pa.string(), texts),
}


@st.composite
def columns(draw: st.DrawFn) -> list[tuple[str, pa.Array, list[Any]]]:
    """Draw columns: PostgreSQL type, Arrow array (possibly a slice), and its values."""
    rows, cut = draw(st.integers(0, 20)), draw(st.integers(0, 3))
    made = []
    for kind in draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4)):
        of, values = KINDS[kind]
        nulls = draw(st.sampled_from([st.none(), values, st.none() | values]))
        listed = draw(st.lists(nulls, min_size=rows + cut, max_size=rows + cut))
        array = pa.array(listed, of)
        if kind == "text":
            array = draw(st.sampled_from([array, array.cast(pa.large_string()),
                                          array.dictionary_encode()]))  # fmt: skip
        made.append((kind, array.slice(cut), listed[cut:]))
    return made


def as_text(kind: str, value: Any) -> str:
    """Return the value in COPY's text format."""
    if value is None:
        return r"\N"
    if kind in ("date", "timestamp"):
        moment = str(np.datetime64(value, "us" if kind == "timestamp" else "D"))
        year, rest = moment[: moment.index("-", 1)], moment[moment.index("-", 1) :]
        return f"{int(year):04}{rest}" if int(year) > 0 else f"{1 - int(year):04}{rest} BC"
    if kind == "text":
        signs = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
        return "".join(signs.get(sign, sign) for sign in value)
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


def load(db: connection, batches: list[pa.RecordBatch], kinds: list[str], lines: list[str]) -> None:
    """Load the table `sent` from the batches and `read` from the text, with row numbers."""
    with db.cursor() as cursor:
        for name in ("sent", "read"):
            table = ", ".join(f"c{n} {kind}" for n, kind in enumerate(kinds))
            cursor.execute(
                f"DROP TABLE IF EXISTS {name}; CREATE TEMP TABLE {name} ({table}, row serial)"
            )
        names = ", ".join(f"c{n}" for n in range(len(kinds)))
        stream = io.BytesIO(b"".join(encode(batches)))
        cursor.copy_expert(f"COPY sent ({names}) FROM STDIN (FORMAT binary)", stream)
        text = io.StringIO("".join(f"{line}\n" for line in lines), newline="")
        cursor.copy_expert(f"COPY read ({names}) FROM STDIN", text)


def differences(db: connection, kinds: list[str]) -> list[tuple[Any, ...]]:
    differ = " OR ".join(
        f"sent.c{n} IS DISTINCT FROM read.c{n} OR sent.c{n}::text IS DISTINCT FROM read.c{n}::text"
        for n in range(len(kinds))
    )
    with db.cursor() as cursor:
        cursor.execute(f"SELECT * FROM sent FULL JOIN read USING (row) WHERE {differ}")
        return cursor.fetchall()


@given(columns(), st.integers(1, 3))
@example([("timestamp", pa.array([OLDEST, NEWEST, None], pa.timestamp("us")),
           [OLDEST, NEWEST, None])], 1)  # fmt: skip
@example([("double precision", pa.array([-0.0, 5e-324, math.inf, -math.inf, math.nan]),
           [-0.0, 5e-324, math.inf, -math.inf, math.nan])], 2)  # fmt: skip
@relaxed
def test_copy_stores_what_postgresql_reads_from_text(
    db: connection, made: list[tuple[str, pa.Array, list[Any]]], pieces: int
) -> None:
    kinds = [kind for kind, _, _ in made]
    batch = pa.RecordBatch.from_arrays(
        [array for _, array, _ in made], list(map(str, range(len(made))))
    )
    step = -(-len(batch) // pieces) or 1
    batches = [batch.slice(start, step) for start in range(0, len(batch) or 1, step)]
    lines = [
        "\t".join(as_text(kind, value) for kind, value in zip(kinds, row, strict=True))
        for row in zip(*(values for _, _, values in made), strict=True)
    ]
    load(db, batches, kinds, lines)
    assert differences(db, kinds) == []


def test_copy_splits_a_large_batch(db: connection) -> None:
    """One long text makes the batch larger than the encoder's buffer."""
    values = [None if n % 7 == 0 else "é" * (20_000 if n == 1500 else n % 50) for n in range(3000)]
    numbers = list(range(3000))
    batch = pa.RecordBatch.from_pydict({"text": values, "number": numbers})
    lines = [f"{as_text('text', v)}\t{n}" for v, n in zip(values, numbers, strict=True)]
    load(db, [batch], ["text", "bigint"], lines)
    assert differences(db, ["text", "bigint"]) == []


@pytest.mark.parametrize("value", [OLDEST - 1, -(2**63), -(2**63) + 1, 2**63 - 1])
def test_copy_refuses_a_time_out_of_range(value: int) -> None:
    """For example DuckDB's infinity, which would wrap around."""
    column = pa.array([0, None, value], pa.timestamp("us"))
    batch = pa.RecordBatch.from_arrays([column], ["pickup"])
    with pytest.raises(StorageError, match="pickup has a time that PostgreSQL cannot store"):
        list(encode([batch]))


@pytest.mark.parametrize("value", [FIRST_DAY - 1, LAST_DAY + 1, 2**31 - 1, -(2**31) + 1])
def test_copy_refuses_a_date_out_of_range(value: int) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([value], pa.int32()).cast(pa.date32())], ["day"])
    with pytest.raises(StorageError, match="day has a time that PostgreSQL cannot store"):
        list(encode([batch]))
