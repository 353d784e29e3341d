"""Generated CSV files: every cell is read as it was written, or the file is rejected."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, event, given, target
from hypothesis import strategies as st

from nyc_taxi.conform.readers import read_header
from nyc_taxi.errors import NycTaxiError
from nyc_taxi.sources.integrity import verify
from tests.support.csv_files import read as read_rows

Row = tuple[str, ...]
AWKWARD = st.sampled_from(
    [
        '"',
        '""',
        ",",
        "\n",
        "\r",
        "\r\n",
        " ",
        "",
        "\t",
        ";",
        "é",
        "\xa0",
        "日本",
        "\ufeff",
        "N",
        "1,2",
    ]
)
TEXTS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
VALUES = st.lists(AWKWARD | TEXTS, max_size=6).map("".join)
NAMES = st.lists(AWKWARD | TEXTS, min_size=1, max_size=6).map("".join)
PLAIN = st.text(st.sampled_from("abcXYZ_09 é\"';"), min_size=1, max_size=8)


def plain_header(names: list[str]) -> bool:
    """Distinct, non-blank names that do not look like another format."""
    known = {name.strip().lower() for name in names}
    return "" not in known and len(known) == len(names) and "".join(names).isprintable()


HEADERS = st.lists(PLAIN, min_size=2, max_size=5).filter(plain_header)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def tables(draw: st.DrawFn, names: st.SearchStrategy[list[str]] = HEADERS) -> list[Row]:
    """Generate a header and rows with the same number of fields."""
    header = tuple(draw(names))
    row = st.tuples(*[VALUES] * len(header))
    return [header, *draw(st.lists(row, max_size=8))]


def written(rows: list[Row], end: str, all_quoted: bool) -> str:
    """Write RFC 4180. Python's writer leaves a lone CR unquoted where lines end in LF."""
    text = io.StringIO(newline="")
    loose = any("\r" in value or "\n" in value for row in rows for value in row)
    dialect = csv.unix_dialect if all_quoted or loose else csv.excel  # the first quotes all
    csv.writer(text, dialect, lineterminator=end).writerows(rows)
    return text.getvalue()


@pytest.fixture(params=[1 << 20, 97])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("nyc_taxi.conform.csv_blocks.BLOCK", request.param)
    return int(request.param)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "fhv_tripdata_2021-01.csv"


def read(raw: Path) -> list[Row]:
    """Return the header and the rows, with blanks for nulls."""
    rows = read_rows(raw)
    return [tuple(read_header(raw)), *(tuple(value or "" for value in row) for row in rows)]


def may_be_merged(rows: list[Row]) -> bool:
    """Return whether a multi-line value has the commas of a row, so that it may be merged rows."""
    return any(
        ("\n" in value or "\r" in value) and value.count(",") >= len(row) - 1
        for row in rows
        for value in row
    )


@given(tables(), ENDS, st.booleans(), ENCODINGS, st.booleans())
def test_every_cell_is_read_as_written(
    raw: Path, rows: list[Row], end: str, all_quoted: bool, encoding: str, packed: bool
) -> None:
    content = written(rows, end, all_quoted).encode(encoding)
    raw.write_bytes(gzip.compress(content) if packed else content)
    assume(not may_be_merged(rows))
    expected = [tuple(name.strip() for name in rows[0]), *rows[1:]]
    assert read(raw) == expected


@given(tables(st.lists(NAMES, min_size=1, max_size=4)), ENDS, st.booleans(), ENCODINGS)
def test_any_header_is_read_or_rejected(
    block: int, raw: Path, rows: list[Row], end: str, all_quoted: bool, encoding: str
) -> None:
    raw.write_bytes(written(rows, end, all_quoted).encode(encoding))
    try:
        found = read(raw)
    except NycTaxiError as problem:
        event(type(problem).__name__)
        assert "\n" not in str(problem)
        return
    named = [n for n, name in enumerate(rows[0]) if name.strip()]
    assert found[0] == tuple(rows[0][n].strip() for n in named)
    if len(rows[0]) > 1:  # a blank line is not a row of one column
        assert found[1:] == [tuple(row[n] for n in named) for row in rows[1:]]


# --- changed bytes ---

CLEAN = st.text(st.sampled_from("abc019 -:.é"), max_size=8)
MULTILINE = st.sampled_from(['a "b"', "one\ntwo", "x, y", '"', ""])


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Generate a valid CSV, and a copy with a byte or two inserted, deleted or replaced."""
    width = draw(st.integers(2, 5))
    value = CLEAN | MULTILINE if draw(st.booleans()) else CLEAN
    rows = [tuple(f"column {n}" for n in range(width))]
    rows += draw(st.lists(st.tuples(*[value] * width), min_size=1, max_size=8))
    good = written(rows, draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans())).encode()
    bad = bytearray(good)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(bad)))
        byte = draw(st.sampled_from([b'"', b"\n", b"\r", b",", b"\0", b"\xa0", b"x", b""]))
        bad[at : at + draw(st.integers(0, 1))] = byte
    return good, bytes(bad)


def naive(content: bytes) -> Iterator[list[str]]:
    """Parse records character by character. Raises ValueError for a violation of RFC 4180."""
    text = content.decode("utf-8" if is_utf8(content) else "cp1252").removeprefix("\ufeff")
    fields: list[str] = []
    field, quoted, closed = "", False, False
    for character in [*text, "\n" if not text.endswith(("\n", "\r")) or quoted else ""]:
        if quoted:
            if character == '"':
                quoted, closed = False, True
            else:
                field += character
        elif character == '"':
            if closed:
                quoted, closed, field = True, False, field + '"'
            elif field:
                raise ValueError("quote inside a field")
            else:
                quoted = True
        elif character in ("\n", "\r"):
            if fields or field or closed:
                yield [*fields, field]
            fields, field, closed = [], "", False
        elif character == ",":
            fields, field, closed = [*fields, field], "", False
        elif closed and character:
            raise ValueError("text after a quote")
        else:
            field += character
    if quoted:
        raise ValueError("open quote")


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(damaged())
def test_changed_bytes_never_lose_a_row(block: int, raw: Path, change: tuple[bytes, bytes]) -> None:
    good, bad = change
    raw.write_bytes(bad)
    try:
        found = read(raw)
    except NycTaxiError as problem:
        event("refused")
        assert "\n" not in str(problem)
        return
    event("read")
    records = list(naive(bad))
    target(float(len(found) - len(list(naive(good)))), label="rows more than before")
    assert len(found) == len(records)
    width = len(found[0])
    assert [tuple(record[:width]) for record in records[1:]] == found[1:]
    assert all(not any(record[width:]) for record in records)


@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes_are_read_or_rejected_in_one_line(
    raw: Path, content: bytes, packed: bool
) -> None:
    raw.write_bytes(gzip.compress(content) if packed else content)
    for look in (read, verify):
        try:
            look(raw)
        except NycTaxiError as problem:
            assert "\n" not in str(problem)
