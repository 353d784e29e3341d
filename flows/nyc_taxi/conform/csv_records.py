"""A CSV file, checked against RFC 4180 while it is read.

Arrow parses the rows. It closes a quote that is left open and takes a stray one for text, so that
rows would vanish in a field: the quotes and the records are counted here as well, by numpy and on
their own, and a file is refused where the two disagree.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from nyc_taxi.sources.file_formats import foreign_separator, marked_encoding

BLOCK = 1 << 20
"""Bytes read at a time, and the most that one record may have."""
LEGACY = "cp1252"
"""What a file that is not UTF-8 is taken for: Windows-1252, which has the letters of Latin-1."""
_COMMA, _LF, _CR, _QUOTE = b',\n\r"'
_BESIDE_QUOTE = np.zeros(256, bool)
_BESIDE_QUOTE[[_COMMA, _LF, _CR, _QUOTE]] = True
_NONE = np.empty(0, np.intp)
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)


class BadCsv(ValueError):
    """What is wrong and where; never the text of the row."""

    def __init__(self, what: str, line: int | None = None, field: int | None = None) -> None:
        self.what, self.line, self.field = what, line, field
        place = f"line {line}: " if field is None else f"line {line}, field {field + 1}: "
        super().__init__(what if line is None else place + what)

    def of(self, names: list[str | None]) -> BadCsv:
        """The same, with the name of the column."""
        name = names[self.field] if self.field is not None and self.field < len(names) else None
        if name is None:
            return self
        return BadCsv(f"line {self.line}, column {name}: {self.what}")


@dataclass(frozen=True)
class _Piece:
    """Some bytes of the file that begin with a record."""

    data: bytes
    line: int
    """The number of its first line in the file."""
    quotes: np.ndarray
    ends: np.ndarray
    """Where lines end outside of quotes."""
    inner: np.ndarray
    """Where they end inside."""

    @classmethod
    def of(cls, data: bytes, line: int) -> _Piece:
        codes = np.frombuffer(data, np.uint8)
        found = codes == _LF
        if b"\r" in data:
            found |= codes == _CR
        ends = np.flatnonzero(found)
        if b'"' not in data:
            return cls(data, line, _NONE, ends, _NONE)
        quotes = np.flatnonzero(codes == _QUOTE)
        inside = np.searchsorted(quotes, ends) % 2 == 1
        return cls(data, line, quotes, ends[~inside], ends[inside])

    def before(self, at: int) -> _Piece:
        known = (a[: np.searchsorted(a, at)] for a in (self.quotes, self.ends, self.inner))
        return _Piece(self.data[:at], self.line, *known)

    def after(self, at: int) -> _Piece:
        return _Piece.of(self.data[at:], self.line_of(at))

    @property
    def codes(self) -> np.ndarray:
        return np.frombuffer(self.data, np.uint8)

    @cached_property
    def records(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each record begins and ends; a blank line is not one."""
        starts = np.concatenate([[0], self.ends[:-1] + 1]) if self.ends.size else self.ends
        filled = self.ends > starts
        return starts[filled], self.ends[filled]

    def line_of(self, at: int) -> int:
        ends = int(np.searchsorted(self.ends, at) + np.searchsorted(self.inner, at))
        return self.line + ends - self.data.count(b"\r\n", 0, at)

    def fields(self, begin: int, end: int) -> int:
        """How many fields are between two places in one record."""
        commas = np.flatnonzero(self.codes[begin:end] == _COMMA) + begin
        return 1 + int(np.count_nonzero(np.searchsorted(self.quotes, commas) % 2 == 0))

    def field_of(self, at: int) -> int:
        """The position in its record, from 0, of the field that this byte is in."""
        starts = self.records[0]
        record = max(0, int(np.searchsorted(starts, at, "right")) - 1)
        return self.fields(int(starts[record]) if starts.size else 0, at) - 1

    def bad(self, at: int, what: str) -> BadCsv:
        return BadCsv(what, self.line_of(at), self.field_of(at))

    def quoted_fields(self) -> tuple[np.ndarray, np.ndarray]:
        """The quotes that open a field and those that close one; both of the pair `""` are text."""
        opening, closing = self.quotes[::2], self.quotes[1::2]
        first = (opening == 0) | (self.codes[opening - 1] != _QUOTE)
        last = (closing + 1 == len(self.data)) | (np.roll(self.codes, -1)[closing] != _QUOTE)
        return opening[first], closing[last]

    def misplaced_quote(self) -> tuple[int, str] | None:
        """The first quote that RFC 4180 does not allow where it is."""
        opening, closing = self.quotes[::2], self.quotes[1::2]
        if closing.size and closing[-1] + 1 == len(self.data):
            closing = closing[:-1]
        before = _BESIDE_QUOTE[self.codes[opening - 1]] | (opening == 0)
        after = _BESIDE_QUOTE[self.codes[closing + 1]]
        early = opening[~before][:1].tolist()
        late = closing[~after][:1].tolist()
        if early and (not late or early < late):
            return early[0], "has a quote inside a field that does not begin with one"
        return (late[0], "has text after a closing quote") if late else None

    def merged_rows(self, width: int) -> int | None:
        """Where a quoted field begins that spans lines and holds the commas of a whole row."""
        if not self.inner.size:
            return None
        opening, closing = self.quoted_fields()
        commas = np.flatnonzero(self.codes == _COMMA)
        lines = np.searchsorted(self.inner, closing) - np.searchsorted(self.inner, opening)
        commas = np.searchsorted(commas, closing) - np.searchsorted(commas, opening)
        found = opening[(lines > 0) & (commas >= width - 1)]
        return int(found[0]) if found.size else None


def _utf8(file: BinaryIO) -> Iterator[bytes]:
    """The file in blocks; UTF-16 and UTF-32, which a byte order mark announces, as UTF-8."""
    blocks = iter(lambda: file.read(BLOCK), b"")
    first = next(blocks, b"")
    encoding = marked_encoding(first)
    if encoding in ("utf-16", "utf-32"):
        try:
            for text in codecs.iterdecode(chain([first], blocks), encoding):
                yield text.encode()
        except UnicodeDecodeError as problem:
            raise BadCsv(f"it begins as {encoding.upper()} and is not ({problem.reason})") from None
        return
    yield first
    yield from blocks


def _pieces(blocks: Iterator[bytes]) -> Iterator[_Piece]:
    """Whole records, about a block of them at a time.

    Raises BadCsv for a quote that does not close within a block.
    """
    rest, line = b"", 1
    for block in chain(blocks, [b""]):
        last = not block
        piece = _Piece.of(rest + (block or b"\n"), line)
        ends = piece.ends
        if not last and ends.size and piece.data.endswith(b"\r"):  # its \n may come next
            ends = ends[:-1]
        cut = int(ends[-1]) + 1 if ends.size else 0
        rest, line = piece.data[cut:], piece.line_of(cut)
        if cut:
            yield piece.before(cut)
        if len(rest) > BLOCK or (last and rest):
            _refuse_open_end(_Piece.of(rest, line))


def _refuse_open_end(rest: _Piece) -> None:
    if found := rest.misplaced_quote():
        raise rest.bad(*found)
    if rest.quotes.size % 2 == 0:
        raise BadCsv(f"is longer than {BLOCK:,} bytes", rest.line)
    raise rest.bad(int(rest.quoted_fields()[0][-1]), "opens a quote that is not closed")


@dataclass
class CsvFile:
    """The rows of a CSV file as batches of texts, blanks as nulls."""

    file: BinaryIO
    names: list[str | None] = field(default_factory=list)
    """Of the fields, without blanks around them; None for a field that has no name.

    Rows of some files of 2014 to 2016 end in commas that no name stands for.
    """
    records: int = 0
    """Rows counted so far, by their line ends and not by the parser."""
    legacy: bool = False
    """Whether text was met that is not UTF-8, and so was read as LEGACY."""
    problem: Exception | None = None
    """The error that ended the reading; DuckDB reports it in its own words."""

    def __post_init__(self) -> None:
        self._utf8 = False
        self._pieces = _pieces(_utf8(self.file))
        first = next(self._pieces, _Piece.of(b"", 1))
        if first.data.startswith(codecs.BOM_UTF8):
            self._utf8 = True
            first = first.after(len(codecs.BOM_UTF8))
        line = first.data.lstrip(b"\r\n").splitlines()[:1]
        if line and (separator := foreign_separator(line[0].decode("latin-1"))):
            raise BadCsv(f"{separator} separate its fields; use commas")
        starts, ends = first.records
        if not starts.size:
            raise BadCsv("it is empty")
        head = int(ends[0]) + (2 if first.data.startswith(b"\r\n", int(ends[0])) else 1)
        self._check_bytes(first.before(head))
        if first.inner.size and first.inner[0] < head:
            opening = first.quoted_fields()[0]
            at = int(opening[np.searchsorted(opening, first.inner[0]) - 1])
            raise first.bad(at, "opens a quote that spans lines, as no name of a column does")
        names = self._header(first.data[starts[0] : head])
        width = first.fields(int(starts[1]), int(ends[1])) if starts.size > 1 else 0
        self.names = [name.strip() or None for name in names] + [None] * (width - len(names))
        self._pieces = chain([first.after(head)], self._pieces)

    def _header(self, record: bytes) -> list[str]:
        text = record.decode(LEGACY if self.legacy else "utf-8")
        try:
            return next(csv.reader(io.StringIO(text, newline="")))
        except csv.Error as problem:
            raise BadCsv(f"its header cannot be read ({problem})") from None

    def batches(self) -> pa.RecordBatchReader:
        named = [name for name in self.names if name is not None]
        schema = pa.schema([(name, pa.string()) for name in named])
        return pa.RecordBatchReader.from_batches(schema, self._batches(named))

    def _batches(self, named: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            for piece in self._pieces:
                yield from self._read(piece).select(named).to_batches()
        except Exception as problem:
            self.problem = problem.of(self.names) if isinstance(problem, BadCsv) else problem
            raise

    def _read(self, piece: _Piece) -> pa.Table:
        text = self._check_bytes(piece)
        if (at := piece.merged_rows(len(self.names))) is not None:
            raise piece.bad(at, "opens a quote that spans lines and holds the commas of a row")
        starts, _ = piece.records
        columns = [name or f" {n}" for n, name in enumerate(self.names, 1)]
        if not starts.size:
            return pa.table({name: pa.nulls(0, pa.string()) for name in columns})
        refused: list[pa_csv.InvalidRow] = []

        def skip(row: pa_csv.InvalidRow) -> str:
            refused.append(row)
            return "skip"

        rows = pa_csv.read_csv(
            pa.BufferReader(b"\n" + text),  # Arrow cuts off what looks like a byte order mark
            pa_csv.ReadOptions(column_names=columns, use_threads=False, block_size=len(text) + 2),
            pa_csv.ParseOptions(
                newlines_in_values=piece.inner.size > 0,
                invalid_row_handler=skip,
            ),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        if refused:
            row = refused[0]
            raise BadCsv(
                f"Expected {row.expected_columns} columns, got {row.actual_columns}",
                piece.line_of(int(starts[row.number - 1])),
            )
        if rows.num_rows != starts.size:
            raise BadCsv(
                f"from here on {starts.size:,} records begin, but {rows.num_rows:,} are read",
                piece.line,
            )
        for n, name in enumerate(self.names):
            if name is None and rows[n].null_count < rows.num_rows:
                at = rows[n].is_valid().index(True).as_py()
                raise BadCsv(
                    "holds a value, but the header has no name for it (pandas writes such a "
                    "column unless told index=False)",
                    piece.line_of(int(starts[at])),
                    n,
                )
        self.records += rows.num_rows
        return rows

    def _check_bytes(self, piece: _Piece) -> bytes:
        """The text as UTF-8, once it is well quoted and all of one encoding."""
        data = piece.data
        if found := piece.misplaced_quote():
            raise piece.bad(*found)
        if b"\0" in data:
            raise piece.bad(data.index(b"\0"), "holds a NUL byte")
        if data.isascii():
            return data
        try:
            data.decode()
        except UnicodeDecodeError as problem:
            at = problem.start
        else:
            self._utf8 = True
            if self.legacy:
                at = next(i for i, byte in enumerate(data) if byte > 127)
                raise piece.bad(at, "holds UTF-8, unlike lines before it")
            return data
        if self._utf8 or _MULTIBYTE.search(data):
            raise piece.bad(at, f"holds the byte 0x{data[at]:02X}, which is not UTF-8")
        self.legacy = True
        try:
            return data.decode(LEGACY).encode()
        except UnicodeDecodeError as problem:
            what = f"holds the byte 0x{data[problem.start]:02X}: neither UTF-8 nor Windows-1252"
            raise piece.bad(problem.start, what) from None
