"""PostgreSQL's binary COPY format, made from Arrow batches a whole column at a time.

A row is the number of its fields, then of each field its length (-1 for null) and its bytes, all
big-endian (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). All rows of a
batch are laid out at their full width first; then the bytes of what is null or short are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
LARGEST = 2**24
"""Bytes of rows at their full width that are laid out at once."""
_EPOCH = np.datetime64("2000-01-01", "us").astype(np.int64)
"""PostgreSQL counts its microseconds from here, Arrow from 1970."""


def encoded(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """The stream for COPY. Columns are int16, int32, int64, float64, timestamp[us] without a zone,
    or string."""
    yield HEADER
    for batch in batches:
        yield from _rows(batch)
    yield TRAILER


@dataclass(frozen=True)
class _Field:
    lengths: NDArray[Any] | int
    """Bytes of each value; -1 for a null."""
    width: int
    """Bytes of the longest."""
    values: NDArray[Any]
    """A number for each row; of a text, its bytes, those of the next row behind them."""
    is_text: bool

    @staticmethod
    def of(column: pa.Array) -> _Field:
        nulls = pc.is_null(column).to_numpy(zero_copy_only=False) if column.null_count else None
        if pa.types.is_string(column.type):
            text = column.fill_null("")
            lengths = pc.binary_length(text).to_numpy(zero_copy_only=False)
            width = int(lengths.max(initial=0))
            _, offsets, content = text.buffers()
            ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
            values: NDArray[Any] = np.frombuffer(content or b"", np.uint8)[ends[0] : ends[-1]]
        else:
            letter = "f" if pa.types.is_floating(column.type) else "i"
            size = column.type.bit_width // 8
            width = size if column.null_count < len(column) else 0
            values = np.frombuffer(column.buffers()[1], f"{letter}{size}")
            values = values[column.offset : column.offset + len(column)]
            if pa.types.is_timestamp(column.type):
                values = values - _EPOCH
            lengths = np.int32(width)
        if nulls is not None:
            lengths = np.where(nulls, -1, lengths)
        return _Field(lengths, width, values, pa.types.is_string(column.type))

    @property
    def type(self) -> str:
        if self.is_text or not self.width:
            return f"V{self.width}"
        return self.values.dtype.newbyteorder(">").str


def _rows(batch: pa.RecordBatch) -> Iterator[bytes]:
    fields = [_Field.of(column) for column in batch.columns]
    layout: Any = np.dtype(
        [("fields", ">i2")]
        + [(f"{part}{n}", kind) for n, field in enumerate(fields)
           for part, kind in (("length", ">i4"), ("value", field.type))]
    )  # fmt: skip
    if len(batch) > 1 and len(batch) * layout.itemsize > LARGEST:
        middle = len(batch) // 2
        yield from _rows(batch.slice(0, middle))
        yield from _rows(batch.slice(middle))
        return
    rows = np.empty(len(batch), layout)
    content = rows.view(np.uint8).reshape(len(batch), layout.itemsize)
    there = np.ones(content.shape, bool)
    rows["fields"] = len(fields)
    for n, field in enumerate(fields):
        rows[f"length{n}"] = field.lengths
        if not field.width:
            continue
        start = layout.fields[f"value{n}"][1]
        place = slice(start, start + field.width)
        there[:, place] = np.arange(field.width) < np.reshape(field.lengths, (-1, 1))
        if field.is_text:
            content[:, place][there[:, place]] = field.values
        else:
            rows[f"value{n}"] = field.values
    yield content[there].tobytes()


class Feed:
    """What COPY reads from: chunks, made by a thread a few ahead of the server's pace."""

    def __init__(self, chunks: Iterator[bytes], ahead: int = 4) -> None:
        self._queue: Queue[bytes | BaseException] = Queue(ahead)
        self._ended = Event()
        self.problem: BaseException | None = None
        self._thread = Thread(target=self._make, args=[chunks], daemon=True)
        self._thread.start()

    def read(self, _size: int = -1) -> bytes:
        """The next chunk, whole: to hand out `_size` bytes at a time would wait for Python's lock
        each time."""
        chunk = self._queue.get()
        if isinstance(chunk, BaseException):
            self.problem = chunk
            raise chunk
        return chunk

    readline = read
    """psycopg2's types want one; COPY never calls it."""

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _make(self, chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                self._put(chunk)
            self._put(b"")
        except BaseException as problem:
            self._put(problem)

    def _put(self, chunk: bytes | BaseException) -> None:
        while not self._ended.is_set():
            with suppress(Full):
                self._queue.put(chunk, timeout=0.1)
                break
