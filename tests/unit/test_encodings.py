"""Text encodings of CSV files: Windows-1252 is reported, mixed ones are rejected."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.conform.readers import read_header
from tests.support.csv_files import FHV, fhv, read, rejection, write


@pytest.mark.parametrize("before", [0, 30_000])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_windows_1252_is_read_and_reported(
    tmp_path: Path, before: int, pack: Callable[[bytes], bytes]
) -> None:
    """The course's copies of 2019 have the byte 0xA0 in values, which caused a traceback."""
    text = fhv(*["B00001"] * before, "B00007\xa0", "Caf\xe9 \u2013").encode("cp1252")
    raw, target = write(tmp_path, pack(text)), tmp_path / "clean.parquet"
    report = conform(FHV, raw).write(target)
    assert report.rows == before + 2
    assert report.anomalies["text encoding"] == "Windows-1252"
    column = pq.read_table(target)["Affiliated_base_number"].to_pylist()
    assert column[-2:] == ["B00007\xa0", "Caf\xe9 \u2013"]


def test_utf_8_is_not_reported(tmp_path: Path) -> None:
    report = conform(FHV, write(tmp_path, fhv("Café"))).write(tmp_path / "clean.parquet")
    assert "text encoding" not in report.anomalies


def test_windows_1252_header_is_decoded(tmp_path: Path) -> None:
    raw = write(tmp_path, "Stra\xdfe,n\nx,1\n".encode("cp1252"))
    assert list(read_header(raw)) == ["Straße", "n"]
    assert read(raw) == [("x", "1")]


FILL = b"0,x\n" * 300_000  # longer than a block


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,\x81\n", "line 2, column b: holds the byte 0x81, which is neither UTF-8"),
        (b"a,b\n1,\xc3\xa9\n2,\xa0\n", "line 3, column b: holds the byte 0xA0, which is not UTF-8"),
        (b"a,b\n1,\xc3\xa9\n" + FILL + b"2,\xa0\n", "line 300003, column b: holds the byte 0xA0"),
        (b"a,b\n1,\xa0\n" + FILL + b"2,\xc3\xa9\n", "line 300003, column b: holds UTF-8"),
        (b"\xef\xbb\xbfa,b\n1,\xa0\n", "line 2, column b: holds the byte 0xA0, which is not UTF-8"),
        (b"a,b\n1,x\n2,\x00\n", "line 3, column b: holds a NUL byte"),
        (b"a,\x00b\n1,x\n", "line 1, field 2: holds a NUL byte"),
        ("a,b\n1,x\n".encode("utf-16-le"), "UTF-16 text without a byte order mark"),
        (b"\xff\xfe" + "a,b\n1,x\n".encode("utf-16-le")[:-1], "UTF-16"),
        (b"\xff\xfea\x00,\x00\x00\xd8\n\x00", "UTF-16"),
    ],
)
def test_mixed_and_unknown_encodings_are_rejected(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert message in rejection(write(tmp_path, content))
