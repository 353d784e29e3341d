"""Rows of a CSV file, checked against RFC 4180 while they are read.

Arrow parses the rows. It closes a quote that is left open, and treats a stray quote as text, so
that rows could vanish inside a field. Therefore numpy counts quotes and records independently, and
a file is rejected if the two disagree.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from nyc_taxi.conform.csv_blocks import MULTIBYTE, CsvBlock, CsvError, read_blocks
from nyc_taxi.sources.file_formats import other_separator

LEGACY = "cp1252"
"""Encoding assumed for a file that is not UTF-8: Windows-1252, a superset of Latin-1's letters."""


@dataclass
class CsvFile:
    """Rows of a CSV file as batches of texts; blank fields are nulls."""

    file: BinaryIO
    names: list[str | None] = field(default_factory=list)
    """Trimmed names of the fields; None for a field without a name.

    In some files of 2014 to 2016 the rows end with commas for which the header has no name.
    """
    records: int = 0
    """Rows read so far, counted by line ends and not by the parser."""
    legacy: bool = False
    """True once text was read that is not UTF-8, and therefore decoded as LEGACY."""
    problem: Exception | None = None
    """The error that ended the reading; DuckDB rewords it."""

    def __post_init__(self) -> None:
        self._utf8 = False
        self._blocks = read_blocks(self.file)
        first = next(self._blocks, CsvBlock.scan(b"", 1))
        if first.data.startswith(codecs.BOM_UTF8):
            self._utf8 = True
            first = first.after(len(codecs.BOM_UTF8))
        line = first.data.lstrip(b"\r\n").splitlines()[:1]
        if line and (separator := other_separator(line[0].decode("latin-1"))):
            raise CsvError(f"its fields are separated by {separator}; use commas")
        starts, ends = first.records
        if not starts.size:
            raise CsvError("it is empty")
        head = int(ends[0]) + (2 if first.data.startswith(b"\r\n", int(ends[0])) else 1)
        self._check_bytes(first.before(head))
        if first.inner_ends.size and first.inner_ends[0] < head:
            opening = first.quoted_fields()[0]
            at = int(opening[np.searchsorted(opening, first.inner_ends[0]) - 1])
            raise first.error(at, "opens a quote that spans lines, which a column name must not")
        names = self._header(first.data[starts[0] : head])
        width = first.count_fields(int(starts[1]), int(ends[1])) if starts.size > 1 else 0
        self.names = [name.strip() or None for name in names] + [None] * (width - len(names))
        self._blocks = chain([first.after(head)], self._blocks)

    def _header(self, record: bytes) -> list[str]:
        text = record.decode(LEGACY if self.legacy else "utf-8")
        try:
            return next(csv.reader(io.StringIO(text, newline="")))
        except csv.Error as problem:
            raise CsvError(f"its header cannot be read ({problem})") from None

    def batches(self) -> pa.RecordBatchReader:
        """Return the rows of the named columns. The reader sets `problem` when it fails."""
        named = [name for name in self.names if name is not None]
        schema = pa.schema([(name, pa.string()) for name in named])
        return pa.RecordBatchReader.from_batches(schema, self._batches(named))

    def _batches(self, named: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            for block in self._blocks:
                yield from self._parse(block).select(named).to_batches()
        except CsvError as problem:
            self.problem = problem.with_column_name(self.names)
            raise
        except Exception as problem:
            self.problem = problem
            raise

    def _parse(self, block: CsvBlock) -> pa.Table:
        text = self._check_bytes(block)
        if (at := block.merged_rows(len(self.names))) is not None:
            raise block.error(at, "opens a quote that spans lines and has the commas of a row")
        starts, _ = block.records
        columns = [name or f" {n}" for n, name in enumerate(self.names, 1)]
        if not starts.size:
            return pa.table({name: pa.nulls(0, pa.string()) for name in columns})
        rows = _parse_with_arrow(block, text, columns)
        if rows.num_rows != starts.size:
            raise CsvError(
                f"{starts.size:,} records start here, but {rows.num_rows:,} were parsed", block.line
            )
        for n, name in enumerate(self.names):
            if name is None and rows[n].null_count < rows.num_rows:
                at = rows[n].is_valid().index(True).as_py()
                raise CsvError(
                    "holds a value, but the header has no name for it (pandas writes such a "
                    "column unless told index=False)",
                    block.line_of(int(starts[at])),
                    n,
                )
        self.records += rows.num_rows
        return rows

    def _check_bytes(self, block: CsvBlock) -> bytes:
        """Return the text as UTF-8. Raises CsvError for a stray quote or a mix of encodings."""
        data = block.data
        if misplaced := block.misplaced_quote():
            raise block.error(*misplaced)
        if b"\0" in data:
            raise block.error(data.index(b"\0"), "holds a NUL byte")
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
                raise block.error(at, "holds UTF-8, unlike lines before it")
            return data
        if self._utf8 or MULTIBYTE.search(data):
            raise block.error(at, f"holds the byte 0x{data[at]:02X}, which is not UTF-8")
        self.legacy = True
        try:
            return data.decode(LEGACY).encode()
        except UnicodeDecodeError as problem:
            byte = f"0x{data[problem.start]:02X}"
            reason = f"holds the byte {byte}, which is neither UTF-8 nor Windows-1252"
            raise block.error(problem.start, reason) from None


def _parse_with_arrow(block: CsvBlock, text: bytes, columns: list[str]) -> pa.Table:
    invalid: list[pa_csv.InvalidRow] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    rows = pa_csv.read_csv(
        pa.BufferReader(b"\n" + text),  # Arrow would remove the bytes of a byte order mark
        pa_csv.ReadOptions(column_names=columns, use_threads=False, block_size=len(text) + 2),
        pa_csv.ParseOptions(
            newlines_in_values=block.inner_ends.size > 0,
            invalid_row_handler=skip,
        ),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    if invalid:
        row = invalid[0]
        starts, _ = block.records
        raise CsvError(
            f"Expected {row.expected_columns} columns, got {row.actual_columns}",
            block.line_of(int(starts[row.number - 1])),
        )
    return rows
