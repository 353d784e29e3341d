"""PostgreSQL's binary COPY stream from Arrow batches, and the thread that feeds it to COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from queue import Empty, Full, Queue
from threading import Event, Thread

import pyarrow as pa
import pyarrow.compute as pc
from pgpq import ArrowToPostgresBinaryEncoder

from nyc_taxi.cancellation import POLL, Stopped, check_stopped
from nyc_taxi.errors import StorageError

_TIMESTAMPS = (-210_866_803_200_000_000, 2**63 - 2)
_DATES = (-2_440_588, 2_145_042_905)
"""What PostgreSQL can hold, in Arrow's microseconds and days since 1970: from 4714-11-24 BC, and
without the largest timestamp, which is DuckDB's infinity."""


def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Yield the stream for COPY.

    Columns are boolean, int16, int32, int64, float64, decimal, date32, timestamp[us] without a
    zone, or text; all batches have one schema. Raises StorageError for a time out of range.
    """
    plain = map(_plain, batches)
    first = next(plain, pa.RecordBatch.from_arrays([], []))
    encoder = ArrowToPostgresBinaryEncoder(first.schema)
    chunks = map(encoder.write_batch, chain([first], plain))
    yield encoder.write_header()
    # The encoder buffers small batches and returns an empty chunk, which would end COPY.
    yield from filter(None, chunks)
    yield encoder.finish()


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Check the times; turn dictionaries and columns without a type into text."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type):
            _check_range(name, column.cast(pa.int64()), _TIMESTAMPS)
        elif pa.types.is_date32(column.type):
            _check_range(name, column.cast(pa.int32()), _DATES)
        elif pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
            column = column.cast(pa.string())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _check_range(name: str, column: pa.Array, allowed: tuple[int, int]) -> None:
    found = pc.min_max(column).as_py()
    if found["min"] is not None and not allowed[0] <= found["min"] <= found["max"] <= allowed[1]:
        raise StorageError(
            f"{name} has a time that PostgreSQL cannot store (before 4714 BC, or infinity); "
            "nothing was changed"
        )


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
        """Return the next chunk, ignoring `_size`: many small reads would contend for the GIL."""
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
