"""Encode Arrow batches in PostgreSQL's binary COPY format, column by column.

A row is the number of fields, then per field its length in bytes (-1 for null) and its bytes, all
big-endian (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). A batch is
first laid out as fixed-width rows; then the unused bytes of nulls and short values are removed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Context, Decimal
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nyc_taxi.cancellation import POLL, Stopped, check_stopped
from nyc_taxi.errors import StorageError

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
LARGEST = 2**24
"""Maximum bytes of fixed-width rows that are laid out at once."""
_EPOCHS = {"timestamp": 946_684_800_000_000, "date32": 10_957}
"""PostgreSQL's epoch, 2000-01-01, in Arrow's units since 1970 (microseconds and days)."""
_RANGES = {
    "timestamp": (-210_866_803_200_000_000, 2**63 - 2),
    "date32": (-2_440_588, 2_145_042_905),
}
"""PostgreSQL's range in Arrow's units: from 4714-11-24 BC; excludes DuckDB's infinity, the largest
timestamp."""

_EXACT = Context(prec=100)


def encoded(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Yield the COPY stream.

    Columns may be boolean, int16, int32, int64, float64, decimal, date32, timestamp[us] without
    time zone, or string. Raises StorageError for a date or time out of range.
    """
    yield HEADER
    for batch in batches:
        yield from _rows(batch)
    yield TRAILER


@dataclass(frozen=True)
class _Field:
    lengths: NDArray[Any] | int
    """Length in bytes of each value; -1 for null."""
    width: int
    """Length in bytes of the longest value."""
    values: NDArray[Any]
    """One number per row; for text, the concatenated bytes of all rows."""
    is_text: bool

    @staticmethod
    def of(column: pa.Array, name: str) -> _Field:
        kind = column.type
        if pa.types.is_decimal(kind):
            values = [None if v is None else _numeric(v, kind.scale) for v in column.to_pylist()]
            column = pa.array(values, pa.binary())
        elif not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind)):
            column = column.cast(pa.string())  # large_string, dictionary, null
        nulls = pc.is_null(column).to_numpy(zero_copy_only=False) if column.null_count else None
        is_text = not (pa.types.is_primitive(column.type) or pa.types.is_boolean(column.type))
        lengths: NDArray[Any] | int
        if is_text:
            lengths, width, data = _texts(column)
        else:
            data = _numbers(column, name)
            lengths = width = data.itemsize if column.null_count < len(column) else 0
        if nulls is not None:
            lengths = np.where(nulls, -1, lengths)
        return _Field(lengths, width, data, is_text)

    @property
    def type(self) -> str:
        if self.is_text or not self.width:
            return f"V{self.width}"
        return self.values.dtype.newbyteorder(">").str


def _texts(column: pa.Array) -> tuple[NDArray[Any], int, NDArray[Any]]:
    """Return the length of each text, the maximum length, and the concatenated bytes."""
    text = column.fill_null("" if pa.types.is_string(column.type) else b"")
    lengths = pc.binary_length(text).to_numpy(zero_copy_only=False)
    _, offsets, content = text.buffers()
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    values = np.frombuffer(content or b"", np.uint8)[ends[0] : ends[-1]]
    return lengths, int(lengths.max(initial=0)), values


def _numbers(column: pa.Array, name: str) -> NDArray[Any]:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if not (pa.types.is_timestamp(kind) or pa.types.is_date32(kind)):
        return np.asarray(column.fill_null(0))
    of = "date32" if pa.types.is_date32(kind) else "timestamp"
    whole = column.cast(pa.int32() if of == "date32" else pa.int64())
    least, most = _RANGES[of]
    found = pc.min_max(whole).as_py()
    if found["min"] is not None and not least <= found["min"] <= found["max"] <= most:
        raise StorageError(
            f"{name} has a time that PostgreSQL cannot store (before 4714 BC, or infinity); "
            "nothing was changed"
        )
    return np.asarray(whole.fill_null(_EPOCHS[of])) - _EPOCHS[of]


def _numeric(value: Decimal, scale: int) -> bytes:
    """Encode a numeric: digit count, weight, sign, scale, then the digits in base 10,000."""
    places = -(-max(scale, 0) // 4) * 4
    whole = abs(int(value.scaleb(places, _EXACT)))
    digits: list[int] = []
    while whole:
        whole, digit = divmod(whole, 10_000)
        digits.insert(0, digit)
    head = (len(digits), len(digits) - places // 4 - 1, 0x4000 if value < 0 else 0, max(scale, 0))
    return struct.pack(f">hhHH{len(digits)}h", *head, *digits)


def _rows(batch: pa.RecordBatch) -> Iterator[bytes]:
    if not len(batch):
        return
    named = zip(batch.schema.names, batch.columns, strict=True)
    fields = [_Field.of(column, name) for name, column in named]
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
    used = np.ones(content.shape, bool)
    rows["fields"] = len(fields)
    for n, field in enumerate(fields):
        rows[f"length{n}"] = field.lengths
        if not field.width:
            continue
        start = layout.fields[f"value{n}"][1]
        span = slice(start, start + field.width)
        used[:, span] = np.arange(field.width) < np.reshape(field.lengths, (-1, 1))
        if field.is_text:
            content[:, span][used[:, span]] = field.values
        else:
            rows[f"value{n}"] = field.values
    yield content[used].tobytes()


class Feed:
    """File-like input of COPY; a thread encodes a few chunks ahead."""

    def __init__(self, chunks: Iterator[bytes], ahead: int = 4) -> None:
        self._queue: Queue[bytes | BaseException] = Queue(ahead)
        self._ended = Event()
        self._stopped = Event()
        self.problem: BaseException | None = None
        self._thread = Thread(target=self._make, args=[chunks], daemon=True)
        self._thread.start()

    def read(self, _size: int = -1) -> bytes:
        """Return the next whole chunk; reads of `_size` bytes would contend for Python's lock."""
        while True:
            check_stopped()
            if self._stopped.is_set():
                raise Stopped
            with suppress(Empty):
                chunk = self._queue.get(timeout=POLL)
                break
        if isinstance(chunk, BaseException):
            self.problem = chunk
            raise chunk
        return chunk

    readline = read
    """Required by psycopg2's types; COPY never calls it."""

    def stop(self) -> None:
        """Make the next read raise Stopped, which ends COPY."""
        self._stopped.set()

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
