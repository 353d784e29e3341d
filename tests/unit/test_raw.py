"""Raw files: each is read completely and unchanged, or rejected with a message of one line."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.column_names import check_names
from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.conform.readers import open_raw, read_header
from nyc_taxi.errors import CorruptFileError, NycTaxiError, SchemaMismatchError
from nyc_taxi.sources.integrity import rows_in_footer, verify
from nyc_taxi.sources.tlc import fetch_month
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.downloads import JANUARY, TEMPLATE, fails_with, names

FHV = TripMonth("fhv", 2021, 1)
FHV_NAMES = (
    "dispatching_base_num,pickup_datetime,dropOff_datetime,PUlocationID,DOlocationID,SR_Flag,"
    "Affiliated_base_number"
)
TIMES = "2021-01-01 10:00:00,2021-01-01 10:30:00"
Rows = list[tuple[Any, ...]]


def fhv(*bases: str) -> str:
    rows = (f"B{n:05},{TIMES},,{n},,{base}" for n, base in enumerate(bases, 1))
    return "\n".join((FHV_NAMES, *rows)) + "\n"


def write(folder: Path, content: bytes | str, name: str = f"{FHV.stem}.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(raw: Path) -> Rows:
    """Return all rows; check their number against the independent count of records."""
    with open_raw(raw, threads=1) as db:
        rows = db.execute("FROM raw").fetchall()
        assert db.records() == len(rows)
    return rows


def rejection(raw: Path) -> str:
    """Return the message that rejects the file: one line, without values of the file."""
    with pytest.raises(NycTaxiError) as problem:
        read(raw)
    error = str(problem.value)
    assert "\n" not in error
    assert raw.name in error
    assert "secret" not in error
    return error


@pytest.fixture(params=[40, 41, 43, 64])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nyc_taxi.conform.csv_blocks.BLOCK", request.param)


# --- quotes ---


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


# --- format detection from content ---


def two_members(content: bytes) -> bytes:
    return gzip.compress(content[:9]) + gzip.compress(content[9:])


ROWS: Rows = [("B00001", "Café ™"), ("B00002", None)]
TEXT = "base,note\r\nB00001,Café ™\r\nB00002,\r\n"


@pytest.mark.parametrize("name", [f"{FHV.stem}.csv", f"{FHV.stem}.csv.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, two_members])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"]
)
def test_gzip_and_encoding_are_detected_from_content(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    bom = "\ufeff" if encoding == "utf-16-be" else ""
    raw = write(tmp_path, pack((bom + TEXT).encode(encoding)), name)
    assert list(read_header(raw)) == ["base", "note"]
    assert read(raw) == ROWS


def packed_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        info = tarfile.TarInfo("trips.csv")
        info.size = len(fhv("B"))
        tar.addfile(info, io.BytesIO(fhv("B").encode()))
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("trips.csv", fhv("B"))
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), file)
    return file.getvalue()


PAGE = "<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"
OTHER: dict[str, tuple[bytes, str]] = {
    "zip": (zipped(), "a zip archive"),
    "bzip2": (bz2.compress(fhv("B").encode()), "a bzip2 file"),
    "xz": (lzma.compress(fhv("B").encode()), "an xz file"),
    "tar.gz": (packed_tar(), "a tar archive"),
    "Parquet": (parquet(), "a Parquet file"),
    "gzip twice": (gzip.compress(gzip.compress(fhv("B").encode())), "a gzip file"),
    "page": (PAGE.encode(), "a web page"),
    "page after blank lines": (b"\r\n\n \t\n" + PAGE.encode(), "a web page"),
    "page after a byte order mark": (PAGE.encode("utf-8-sig"), "a web page"),
    "page in UTF-16": (PAGE.encode("utf-16"), "a web page"),
    "page in Latin-1": (PAGE.replace("Sign in", "Entrée").encode("latin-1"), "a web page"),
    "page in gzip": (gzip.compress(b"\n" + PAGE.encode()), "a web page"),
    "UTF-16 LE": (fhv("B").encode("utf-16-le"), "UTF-16 text without a byte order mark"),
    "UTF-16 BE": (fhv("B").encode("utf-16-be"), "UTF-16 text without a byte order mark"),
    "UTF-16 in gzip": (
        gzip.compress(fhv("B").encode("utf-16-le")),
        "UTF-16 text without a byte order mark",
    ),
    "XML": (b'\n<?xml version="1.0"?><Error>x</Error>', "an XML document"),
    "XML without its first line": (b"<Error><Code>AccessDenied</Code></Error>", "an XML document"),
    "JSON": (b' {"message": "Not Found", "status": "404"}', "a JSON document"),
    "JSON list": (b'[{"message": "Not Found"}]\n', "a JSON document"),
    "blank lines": (b"\n\r\n  \n", "an empty file"),
    "only a byte order mark": (b"\xef\xbb\xbf", "an empty file"),
    "nothing in gzip": (gzip.compress(b""), "an empty file"),
}


@pytest.mark.few(16)
@pytest.mark.parametrize("other", OTHER)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_other_formats_are_rejected_by_name(tmp_path: Path, other: str, ending: str) -> None:
    content, kind = OTHER[other]
    raw = write(tmp_path, content, f"{FHV.stem}{ending}")
    assert f", like {kind}" in rejection(raw)
    with pytest.raises(CorruptFileError, match=rf"{raw.name} is not a CSV file: .*, like {kind}"):
        verify(raw)


@pytest.mark.parametrize("other", [name for name in OTHER if name != "Parquet"])
def test_other_formats_named_parquet_are_rejected(tmp_path: Path, other: str) -> None:
    raw = write(tmp_path, OTHER[other][0], f"{FHV.stem}.parquet")
    with pytest.raises(
        CorruptFileError, match=f"{raw.name} is not a Parquet file: it starts with "
    ):
        verify(raw)


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz", ".csv"])
@pytest.mark.parametrize(
    "body",
    [
        OTHER["page after blank lines"][0],
        OTHER["page after a byte order mark"][0],
        OTHER["XML"][0],
        OTHER["JSON"][0],
        OTHER["zip"][0],
        b"Not Found",
        b"\x1b\x13\x00\x00\xa4\xb0\xb2\xea\x81\x47\x02\x8a",  # encoded by Brotli
        b"404: Not Found\n",
        b"\nSorry, too many requests; try again later\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        b"VendorID;lpep_pickup_datetime;lpep_dropoff_datetime\n",
    ],
)
def test_error_page_sent_as_a_month_is_discarded(
    site: Site, folder: Path, body: bytes, ending: str
) -> None:
    """A web page that started with blank lines was kept in data/raw as a valid download."""
    (site.folder / f"{JANUARY.stem}{ending}").write_bytes(body)
    with fails_with(CorruptFileError, f"{JANUARY.stem}{ending}", "nothing was kept"):
        fetch_month(JANUARY, f"{site.url}/{TEMPLATE}{ending}", folder)
    assert names(folder) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_download_in_any_encoding_is_kept(
    site: Site, folder: Path, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    for ending in (".csv", ".csv.gz"):
        sent = pack(fhv("B00001").encode(encoding))
        (site.folder / f"{JANUARY.stem}{ending}").write_bytes(sent)
        path = fetch_month(JANUARY, f"{site.url}/{TEMPLATE}{ending}", folder)
        assert path.read_bytes() == sent


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_other_separators_are_rejected_by_name(
    tmp_path: Path, separator: str, name: str, quote: str, encoding: str
) -> None:
    """Excel writes semicolons in Europe, and tabs in "Unicode text" everywhere."""
    text = fhv("B00001").replace(",", f"{quote}{separator}{quote}")
    raw = write(tmp_path, text.encode(encoding))
    assert f"its fields are separated by {name}" in rejection(raw)
    with pytest.raises(CorruptFileError, match=f"its fields are separated by {name}"):
        verify(raw)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_unreadable_file_is_named(tmp_path: Path, ending: str) -> None:
    raw = tmp_path / f"{FHV.stem}{ending}"
    raw.mkdir()
    for read_file in (read_header, verify):
        with pytest.raises(NycTaxiError, match=rf"{raw.name} cannot be read"):
            read_file(raw)


def test_truncated_gzip_is_rejected(tmp_path: Path) -> None:
    content = gzip.compress(fhv(*(os.urandom(9).hex() for _ in range(50_000))).encode())
    for cut in (len(content) // 2, len(content) - 5, 12):
        assert "cannot be read to its end" in rejection(write(tmp_path, content[:cut]))
    assert "cannot be read to its end" in rejection(write(tmp_path, content + b"<html>"))


@pytest.mark.slow
def test_gzip_is_verified_in_constant_memory(tmp_path: Path) -> None:
    """A megabyte of gzip may contain a gigabyte of blanks."""
    content = fhv("B00001") + "\n" * (200 << 20)
    raw = write(tmp_path, gzip.compress(content.encode()) + bytes(512))  # padded like a tar file
    tracemalloc.start()
    try:
        verify(raw)
        assert read(raw)[0][0] == "B00001"
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_rows_in_footer_does_not_expand_glob_patterns(tmp_path: Path) -> None:
    for name, rows in (("a*.parquet", 3), ("ab.parquet", 2), ("a[b].parquet", 1)):
        pq.write_table(pa.table({"n": range(rows)}), tmp_path / name)
        assert rows_in_footer(tmp_path / name) == rows


# --- encodings ---


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


# --- names ---

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
