"""PostgreSQL's binary COPY format, made from Arrow batches a whole column at a time.

A row is the number of its fields, then of each field its length (-1 for null) and its bytes, all
big-endian (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). All rows of a
batch are laid out at their full width first; then the bytes of what is null or short are left out.
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
"""Bytes of rows at their full width that are laid out at once."""
_EPOCHS = {"timestamp": 946_684_800_000_000, "date32": 10_957}
"""PostgreSQL counts its microseconds and its days from here, Arrow from 1970."""
_RANGES = {
    "timestamp": (-210_866_803_200_000_000, 2**63 - 2),
    "date32": (-2_440_588, 2_145_042_905),
}
"""What PostgreSQL can hold, as Arrow counts: from 4714-11-24 BC, and without the largest timestamp,
which is DuckDB's infinity."""

_EXACT = Context(prec=100)


def encoded(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """The stream for COPY. Columns are boolean, int16, int32, int64, float64, decimal, date32,
    timestamp[us] without a zone, or string. Raises StorageError for a time out of range."""
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
    """Of each text its length, the longest length, and the bytes of all of them."""
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
            f"{name} holds a time that PostgreSQL cannot store (before 4714 BC, or infinity); "
            "nothing was changed"
        )
    return np.asarray(whole.fill_null(_EPOCHS[of])) - _EPOCHS[of]


def _numeric(value: Decimal, scale: int) -> bytes:
    """Number of digits in base 10,000, weight of the first, sign, decimal places; the digits."""
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
        self._stopped = Event()
        self.problem: BaseException | None = None
        self._thread = Thread(target=self._make, args=[chunks], daemon=True)
        self._thread.start()

    def read(self, _size: int = -1) -> bytes:
        """The next chunk, whole: to hand out `_size` bytes at a time would wait for Python's lock
        each time."""
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
    """psycopg2's types want one; COPY never calls it."""

    def stop(self) -> None:
        """Let the next read raise Stopped, so that COPY ends."""
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
