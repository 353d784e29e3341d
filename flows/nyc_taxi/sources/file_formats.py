"""Detection of a file's format by its first bytes."""

from __future__ import annotations

import codecs
import gzip
import re
from pathlib import Path
from typing import BinaryIO, cast

CHUNK = 1 << 20
"""Bytes to read at a time."""
START = 1 << 16
"""Bytes to detect the format from."""
GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
_SIGNATURES = {
    PARQUET: "a Parquet file",
    GZIP: "a gzip file",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PK\x05\x06": "an empty zip archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\0": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"\x04\x22\x4d\x18": "an LZ4 file",
    b"\x1f\x9d": "a compress (.Z) file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3\0": "an SQLite database",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def open_decompressed(path: Path) -> BinaryIO:
    """Open the file for reading, and decompress it if it is gzip."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == GZIP
    return cast(BinaryIO, gzip.open(path) if is_gzip else path.open("rb"))


def bom_encoding(start: bytes) -> str | None:
    """Return the encoding of a byte order mark; None without one."""
    return next((encoding for bom, encoding in _BOMS if start.startswith(bom)), None)


def decode_text(start: bytes) -> str:
    """Decode the start of a file, without a byte order mark and surrounding blanks."""
    return start.decode(bom_encoding(start) or "utf-8", "replace").strip("\ufeff\0 \t\r\n\f\v")


def is_text(start: bytes) -> bool:
    return not _CONTROL.search(decode_text(start)[:1000])


def other_format(start: bytes) -> str | None:
    """Return the format if the bytes are not CSV, such as "a zip archive"; None if they may be."""
    for signature, name in _SIGNATURES.items():
        if start.startswith(signature):
            return name
    if start[257:262] == b"ustar":
        return "a tar archive"
    if re.match(rb"(?:[^\0]\0){8}|(?:\0[^\0]){8}", start, re.DOTALL):
        return "UTF-16 text without a byte order mark"
    text = decode_text(start)
    if not text:
        return "an empty file"
    if not is_text(start):
        return None
    if text.startswith("<"):
        return "a web page" if "html" in text[:1000].lower() else "an XML document"
    return "a JSON document" if text.startswith(("{", "[")) else None


def preview(start: bytes) -> str:
    """Return the first characters for a message; bytes, if they are not text."""
    return repr(decode_text(start)[:40] if is_text(start) else start[:8])


def other_separator(header: str) -> str | None:
    """Return the separator of a header line without commas, such as "semicolons"."""
    if "," in header:
        return None
    return next((name for mark, name in SEPARATORS.items() if mark in header), None)
