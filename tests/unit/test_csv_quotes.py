"""Quotes in CSV files: misplaced ones are rejected with their line and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import CorruptFileError
from tests.support.csv_files import FHV, fhv, rejection, write


@pytest.mark.few(16)
@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ('a,b\n1,x\n2,"secret\n3,x\n', "line 3, column b", "a quote that is not closed"),
        ('a,b\n1,x\n2,"secret', "line 3, column b", "a quote that is not closed"),
        ('a,b\n1,x\n2,"', "line 3, column b", "a quote that is not closed"),
        ('a,b\n1,x\n2,"secret\n"",""\n', "line 3, column b", "a quote that is not closed"),
        ('a,b\r\n1,x\r\n"secret,x\r\n3,x', "line 3, column a", "a quote that is not closed"),
        ('a,b\r1,x\r"secret,x\r3,x', "line 3, column a", "a quote that is not closed"),
        ('a,b\n\n\n1,x\n2,sec"ret\n3,x\n', "line 5, column b", "inside an unquoted field"),
        ('a,b\n1,x\n2, "secret"\n', "line 3, column b", "inside an unquoted field"),
        ('a,b\n1,x\n2,5""\n', "line 3, column b", "inside an unquoted field"),
        ('a,b\n1,x\n2,"secret" \n', "line 3, column b", "text after a closing quote"),
        ('a,b\n1,x\n2,"sec"ret"\n', "line 3, column b", "text after a closing quote"),
        ('a,b\n1,x\n2,"sec\\"ret"\n', "line 3, column b", "text after a closing quote"),
        ('a,b\n1,x\n2,""secret""\n', "line 3, column b", "text after a closing quote"),
        ('"a","b"\n"1","secret\n"2","x"\n', "line 3, column b", "text after a closing quote"),
        ('a,b,c\n1,"secret\n2,x"\n', "line 2, column b", "Expected 3 columns"),
        ('a,b\n1,"secret\n2,x"\n3,y\n', "line 2, column b", "the commas of a row"),
        ('a,b,c\n"1,x,y\n2,x,y\n3",x,y\n', "line 2, column a", "the commas of a row"),
        ('a,b,c\n1,x,"y\n2,x,""\n3,x,y"\n', "line 2, column c", "the commas of a row"),
        ('a,b\r1,x\r2,"x\r3,x\r4,y"\r', "line 3, column b", "the commas of a row"),
        ('a,"b\n1,c"\n2,d\n', "line 1, field 2", "a quote that spans lines"),
        ('a,"b\n1,secret"\n2,d\n', "line 1, field 2", "a quote that spans lines"),
        ('"a,b\n1,secret\n2",d\n', "line 1, field 1", "a quote that spans lines"),
        ('a,"b\n1,c\n2,d\n', "line 1, field 2", "a quote that is not closed"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_misplaced_quotes_are_rejected_with_line_and_column(
    tmp_path: Path, text: str, position: str, reason: str, ending: str
) -> None:
    """A quote left open, or closed by another stray one, swallowed the rows in between."""
    content = gzip.compress(text.encode()) if ending == ".csv.gz" else text.encode()
    error = rejection(write(tmp_path, content, f"{FHV.stem}{ending}"))
    if "Expected" not in reason:
        assert position in error
    assert reason in error
    assert "secret" not in error


@pytest.mark.few(8)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("lines", [3, 300_000])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("1,2,3", ": Expected 2 columns, got 3"),
        ('1,x"y', ", column b: has a quote inside"),
        ("1,x\0", ", column b: holds a NUL byte"),
        ('1,"x{end}2,y"', ", column b: opens a quote that spans lines"),
        ("1,é\udce9", ", column b: holds the byte 0xE9"),
    ],
)
def test_line_number_counts_any_line_end(
    tmp_path: Path, end: str, lines: int, bad: str, message: str
) -> None:
    """In the first block of a file with CRLF it was one too many."""
    rows = ["a,b", *["1,x"] * (lines - 1), bad.format(end=end), "2,y", ""]
    content = end.join(rows).encode(errors="surrogateescape")
    assert f"line {lines + 1}{message}" in rejection(write(tmp_path, content))


@pytest.mark.parametrize("lost", [0, 2, 5, 6])
@pytest.mark.parametrize("closed", [False, True])
def test_stray_quote_is_rejected_instead_of_losing_a_trip(
    tmp_path: Path, lost: int, closed: bool
) -> None:
    bases = [f"B{n:05}" for n in range(7)]
    bases[lost] = '"' + bases[lost]
    if closed:
        bases[-1] += '"'
    raw, target = write(tmp_path, fhv(*bases)), tmp_path / "clean.parquet"
    if lost == 6 and closed:  # both quotes surround the same field
        assert conform(FHV, raw).write(target).rows == 7
        return
    with pytest.raises(CorruptFileError, match=rf"line {lost + 2}, column Affiliated_base_number"):
        conform(FHV, raw).write(target)
    assert not target.exists()


def test_open_quote_in_a_large_file_is_found_within_a_block(tmp_path: Path) -> None:
    rows = fhv(*["B00001"] * 60_000)
    raw = write(tmp_path, rows.replace("B00777", '"B00777', 1))
    assert raw.stat().st_size > 3 << 20
    assert "line 778, column dispatching_base_num: opens a quote" in rejection(raw)
