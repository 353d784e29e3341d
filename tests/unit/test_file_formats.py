"""Formats of raw files: detected from their content, and rejected by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.readers import read_header
from nyc_taxi.errors import CorruptFileError, NycTaxiError
from nyc_taxi.sources.integrity import verify
from nyc_taxi.sources.tlc import fetch_month
from synthetic_tlc import Site
from tests.support.csv_files import FHV, Rows, fhv, read, rejection, write
from tests.support.downloads import JANUARY, TEMPLATE, fails_with, names


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
