"""A remote file of a known size, read by ranges."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 20
"""Bytes per request."""


def open_ranges(read: Callable[[int, int], bytes], size: int) -> BinaryIO:
    """Return a file of `size` bytes; `read` returns the bytes from the first to the last offset."""
    return cast(BinaryIO, io.BufferedReader(_RangeReader(read, size), BUFFER))


class _RangeReader(io.RawIOBase):
    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._position = read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = start[whence] + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        last = min(self._position + len(view), self._size) - 1
        if last < self._position:
            return 0
        content = self._read(self._position, last)
        view[: len(content)] = content
        self._position += len(content)
        return len(content)
