"""Rows of CSV files: each is read as it was written, whatever its line ends and blocks."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from nyc_taxi.sources.integrity import verify
from tests.support.csv_files import Rows, fhv, read, rejection, write


@pytest.fixture(params=[40, 41, 43, 64])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nyc_taxi.conform.csv_blocks.BLOCK", request.param)


def test_record_longer_than_a_block_is_rejected(tmp_path: Path) -> None:
    long = "x" * (1 << 21)
    assert "line 3: is longer than 1,048,576 bytes" in rejection(
        write(tmp_path, f"a,b\n1,x\n2,{long}\n")
    )
    assert "line 3, column b: opens a quote" in rejection(
        write(tmp_path, f'a,b\n1,x\n2,"{long}"\n')
    )
    assert "line 1: is longer" in rejection(write(tmp_path, f"a,{long}\n"))


def test_quoted_line_ends_are_read_across_block_boundaries(tmp_path: Path) -> None:
    """Arrow rejected such a file or not, depending on its block boundaries."""
    bases = [f'"two\nlines of {n}"' if n % 3 else '"""quoted"", \r\n"' for n in range(40_000)]
    raw = write(tmp_path, fhv(*bases))
    assert raw.stat().st_size > 2 << 20
    assert [row[-1] for row in read(raw)] == [base[1:-1].replace('""', '"') for base in bases]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_are_read_across_every_block_boundary(tmp_path: Path, end: str) -> None:
    values = ['a"b', "c\nd", 'e,\r\n"f"', "", "g\r", "é", "h" * 20, '"', ",", "i"]
    rows = [(str(n), value, values[-n % 10]) for n, value in enumerate(values * 3)]
    text = io.StringIO(newline="")
    csv.writer(text, csv.excel, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(
        [("n", "one", "two"), *rows]
    )
    expected = [tuple(value or None for value in row) for row in rows]
    assert read(write(tmp_path, text.getvalue())) == expected
    assert read(write(tmp_path, text.getvalue().removesuffix(end))) == expected


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2", [("1", "2")]),
        ("a,b\n\n1,2\n\n\n3,4\n\n", [("1", "2"), ("3", "4")]),
        ("a,b\r\n\r\n1,2\r\n\r\n", [("1", "2")]),
        ("a,b\r\r1,2\r3,4", [("1", "2"), ("3", "4")]),
        ("a,b\n1,2\r\n3,4\r5,6\n", [("1", "2"), ("3", "4"), ("5", "6")]),
        ("\n\r\na,b\n1,2\n", [("1", "2")]),
        ('a,b\n"",\n,""\n', [(None, None), (None, None)]),
        ('a,b\n"","x"\n', [(None, "x")]),
        ('a,b\n"""",""","""\n', [('"', '","')]),
        ("a,b\n1, \n", [("1", " ")]),
        ("a,b\n\ufeff1,2\n", [("\ufeff1", "2")]),
        ("a,b\n", []),
        ("a,b", []),
        ("a\n1\n\n 2\n", [("1",), (" 2",)]),
        ('a\n""\n1\n', [(None,), ("1",)]),
        ("a,b\n1,2,\n3,4,\n", [("1", "2"), ("3", "4")]),
        ("a, b ,\n1,2,\n", [("1", "2")]),
        (",a,b\n,1,2\n", [("1", "2")]),
    ],
)
def test_rows_are_read_as_written(tmp_path: Path, text: str, rows: Rows) -> None:
    assert read(write(tmp_path, text)) == rows


def test_more_rows_than_one_arrow_batch_are_read(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, "a\n" + "1\n" * 600_000))) == 600_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3: Expected 2 columns, got 1"),
        ("a,b\n1,2\n\n3,4,secret\n", "line 4: Expected 2 columns, got 3"),
        ("a,b\n1,2,\n3,4\n", "line 3: Expected 3 columns, got 2"),
        ('a,b\n"x\ny",2\n3\n', "line 4: Expected 2 columns, got 1"),
        ("a,b\n1,2,\n3,4,secret\n", "line 3, field 3: holds a value"),
        (",a,b\n0,1,2\n1,3,4\n", "line 2, field 1: holds a value, but the header has no name"),
        ("a,,b\n1,,2\n3,secret,4\n", "line 3, field 2: holds a value"),
        ("", "like an empty file"),
        ("\n \n", "like an empty file"),
    ],
)
def test_rows_that_do_not_match_the_header_are_rejected(
    tmp_path: Path, text: str, message: str
) -> None:
    assert message in rejection(write(tmp_path, text))


def test_real_files_are_read_completely(real: Path) -> None:
    for raw in [real / "csv" / "green_tripdata_2020-04.csv.gz", *(real / "samples").glob("*.csv")]:
        opener = gzip.open if raw.suffix == ".gz" else open
        with opener(raw, "rt", newline="") as file:
            rows = [row for row in csv.reader(file) if row][1:]
        found = read(raw)
        assert len(found) == len(rows), raw.name
        for mine, theirs in zip(found, rows, strict=True):
            assert [value or "" for value in mine] == theirs[: len(mine)]
        verify(raw)


def test_first_lines_of_all_old_csvs_are_read_completely(real: Path, tmp_path: Path) -> None:
    for head in sorted((real / "heads").iterdir()):
        raw = write(tmp_path, head.read_bytes().rpartition(b"\n")[0], head.name)
        verify(raw)
        lines = [line for line in raw.read_bytes().splitlines() if line]
        assert len(read(raw)) == len(lines) - 1, head.name
