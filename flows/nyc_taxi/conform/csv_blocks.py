"""Blocks of a CSV file that consist of whole records, split by the quotes of RFC 4180."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import BinaryIO

import numpy as np

from nyc_taxi.sources.file_formats import bom_encoding

BLOCK = 1 << 20
"""Bytes to read at a time, and the maximum length of a record."""
MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""A non-ASCII character in UTF-8."""
_COMMA, _LF, _CR, _QUOTE = b',\n\r"'
_NEXT_TO_QUOTE = np.zeros(256, bool)
_NEXT_TO_QUOTE[[_COMMA, _LF, _CR, _QUOTE]] = True
_EMPTY = np.empty(0, np.intp)


class CsvError(ValueError):
    """A problem and its position. Never contains the text of the row."""

    def __init__(self, reason: str, line: int | None = None, field: int | None = None) -> None:
        self.reason, self.line, self.field = reason, line, field
        position = f"line {line}" if field is None else f"line {line}, field {field + 1}"
        super().__init__(reason if line is None else f"{position}: {reason}")

    def with_column_name(self, names: list[str | None]) -> CsvError:
        """Return the same error with the name of the column instead of its number."""
        name = names[self.field] if self.field is not None and self.field < len(names) else None
        if name is None:
            return self
        return CsvError(f"line {self.line}, column {name}: {self.reason}")


@dataclass(frozen=True)
class CsvBlock:
    """Bytes of the file that start with a record, and the positions of their quotes and lines."""

    data: bytes
    line: int
    """Line number in the file of the first line, from 1."""
    quotes: np.ndarray
    ends: np.ndarray
    """Line ends outside of quotes."""
    inner_ends: np.ndarray
    """Line ends within quotes."""

    @classmethod
    def scan(cls, data: bytes, line: int) -> CsvBlock:
        codes = np.frombuffer(data, np.uint8)
        is_end = codes == _LF
        if b"\r" in data:
            is_end |= codes == _CR
        ends = np.flatnonzero(is_end)
        if b'"' not in data:
            return cls(data, line, _EMPTY, ends, _EMPTY)
        quotes = np.flatnonzero(codes == _QUOTE)
        inside = np.searchsorted(quotes, ends) % 2 == 1
        return cls(data, line, quotes, ends[~inside], ends[inside])

    def before(self, at: int) -> CsvBlock:
        arrays = (a[: np.searchsorted(a, at)] for a in (self.quotes, self.ends, self.inner_ends))
        return CsvBlock(self.data[:at], self.line, *arrays)

    def after(self, at: int) -> CsvBlock:
        return CsvBlock.scan(self.data[at:], self.line_of(at))

    @property
    def codes(self) -> np.ndarray:
        return np.frombuffer(self.data, np.uint8)

    @cached_property
    def records(self) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of each record; a blank line is not a record."""
        starts = np.concatenate([[0], self.ends[:-1] + 1]) if self.ends.size else self.ends
        nonempty = self.ends > starts
        return starts[nonempty], self.ends[nonempty]

    def line_of(self, at: int) -> int:
        """Return the line number of a byte; `\\r\\n` is one line end."""
        ends = int(np.searchsorted(self.ends, at) + np.searchsorted(self.inner_ends, at))
        return self.line + ends - self.data.count(b"\r\n", 0, at)

    def count_fields(self, start: int, end: int) -> int:
        """Count the fields between two positions of one record."""
        commas = np.flatnonzero(self.codes[start:end] == _COMMA) + start
        return 1 + int(np.count_nonzero(np.searchsorted(self.quotes, commas) % 2 == 0))

    def field_of(self, at: int) -> int:
        """Return the number of the field in its record, from 0, that contains a byte."""
        starts = self.records[0]
        record = max(0, int(np.searchsorted(starts, at, "right")) - 1)
        return self.count_fields(int(starts[record]) if starts.size else 0, at) - 1

    def error(self, at: int, reason: str) -> CsvError:
        return CsvError(reason, self.line_of(at), self.field_of(at))

    def quoted_fields(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the opening and the closing quotes of fields, without the escaped quotes `""`."""
        opening, closing = self.quotes[::2], self.quotes[1::2]
        first = (opening == 0) | (self.codes[opening - 1] != _QUOTE)
        last = (closing + 1 == len(self.data)) | (np.roll(self.codes, -1)[closing] != _QUOTE)
        return opening[first], closing[last]

    def misplaced_quote(self) -> tuple[int, str] | None:
        """Return the first quote that violates RFC 4180, and the reason."""
        opening, closing = self.quotes[::2], self.quotes[1::2]
        if closing.size and closing[-1] + 1 == len(self.data):
            closing = closing[:-1]
        before = _NEXT_TO_QUOTE[self.codes[opening - 1]] | (opening == 0)
        after = _NEXT_TO_QUOTE[self.codes[closing + 1]]
        early = opening[~before][:1].tolist()
        late = closing[~after][:1].tolist()
        if early and (not late or early < late):
            return early[0], "has a quote inside an unquoted field"
        return (late[0], "has text after a closing quote") if late else None

    def merged_rows(self, width: int) -> int | None:
        """Return the start of a quoted field that spans lines and has the commas of a whole row."""
        if not self.inner_ends.size:
            return None
        opening, closing = self.quoted_fields()
        commas = np.flatnonzero(self.codes == _COMMA)
        lines = np.searchsorted(self.inner_ends, closing) - np.searchsorted(
            self.inner_ends, opening
        )
        commas = np.searchsorted(commas, closing) - np.searchsorted(commas, opening)
        suspects = opening[(lines > 0) & (commas >= width - 1)]
        return int(suspects[0]) if suspects.size else None


def read_blocks(file: BinaryIO) -> Iterator[CsvBlock]:
    """Yield the file in blocks of about BLOCK bytes that end with a record, as UTF-8.

    Raises CsvError for a quote that is not closed within a block.
    """
    rest, line = b"", 1
    for data in chain(_read_utf8(file), [b""]):
        last = not data
        block = CsvBlock.scan(rest + (data or b"\n"), line)
        ends = block.ends
        if not last and ends.size and block.data.endswith(b"\r"):  # its \n may follow
            ends = ends[:-1]
        cut = int(ends[-1]) + 1 if ends.size else 0
        rest, line = block.data[cut:], block.line_of(cut)
        if cut:
            yield block.before(cut)
        if len(rest) > BLOCK or (last and rest):
            raise _incomplete_record(CsvBlock.scan(rest, line))


def _read_utf8(file: BinaryIO) -> Iterator[bytes]:
    """Yield the file in chunks; convert UTF-16 and UTF-32 with a byte order mark to UTF-8."""
    chunks = iter(lambda: file.read(BLOCK), b"")
    first = next(chunks, b"")
    encoding = bom_encoding(first)
    if encoding not in ("utf-16", "utf-32"):
        yield first
        yield from chunks
        return
    try:
        for text in codecs.iterdecode(chain([first], chunks), encoding):
            yield text.encode()
    except UnicodeDecodeError as problem:
        name = encoding.upper()
        raise CsvError(f"it starts as {name} but is not valid ({problem.reason})") from None


def _incomplete_record(rest: CsvBlock) -> CsvError:
    if misplaced := rest.misplaced_quote():
        return rest.error(*misplaced)
    if rest.quotes.size % 2 == 0:
        return CsvError(f"is longer than {BLOCK:,} bytes", rest.line)
    return rest.error(int(rest.quoted_fields()[0][-1]), "opens a quote that is not closed")
