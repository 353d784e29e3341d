"""Lake in a folder of HDFS: `hdfs://host:port/path`, or `hdfs://nameservice/path`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import time
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from nyc_taxi.cancellation import interruptible
from nyc_taxi.errors import ConnectionLostError, InvalidInputError, NycTaxiError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import atomic_write
from nyc_taxi.storage.hadoop import hadoop_configuration
from nyc_taxi.storage.webhdfs import WebHdfs, inode, replaced

T = TypeVar("T")
ABANDONED = timedelta(days=1)
"""Age of a temporary file whose writer was killed."""


class HdfsLake:
    @classmethod
    def from_address(cls, rest: str) -> HdfsLake:
        """`rest` follows `hdfs:`. Without a host it is in fs.defaultFS of core-site.xml."""
        try:
            parts = urlsplit(rest)
            place = parts.netloc or _default_place()
            valid = rest.startswith("//") and place and parts.port != 0
        except ValueError:
            valid = False
        if not valid or not parts.path.strip("/") or parts.username:
            raise InvalidInputError(
                f"NYC_TAXI_LAKE={f'hdfs:{rest}'!r} is not a folder of HDFS; write "
                "hdfs://HOST:PORT/PATH, with the host and port of fs.defaultFS"
            )
        return cls(place, parts.path)

    def __init__(self, place: str, folder: str) -> None:
        self.place, self.folder = place, "/" + folder.strip("/")
        self.hdfs = WebHdfs(place)

    def put(self, file: Path, key: str) -> str:
        """Write to a temporary name and rename it, which replaces a file at once.

        A killed run leaves its temporary file; a later one removes it after ABANDONED.
        """
        self._run(partial(self._put, file, self._path(key)))
        return self._uri(key)

    def get(self, key: str) -> Path:
        """The copy is in the data folder, and is downloaded again if length or time differ."""
        return self._run(partial(self._get, key))

    def uri(self, key: str) -> str:
        self._run(partial(self._status, key))
        return self._uri(key)

    def open(self, key: str) -> BinaryIO:
        """Raises ConnectionLostError while it is read if the file is replaced meanwhile."""
        self._run(partial(self._status, key))
        return self._run(partial(self.hdfs.open, self._path(key)))

    def check(self) -> str:
        """Write a temporary file under a unique name and delete it."""
        self._run(self._probe)
        return f"{self._uri('')} is writable"

    def _put(self, file: Path, target: str) -> None:
        folder, _, name = target.rpartition("/")
        part = f"{folder}/.{name}.{uuid4().hex}.part"
        try:
            self.hdfs.write(file, part)
            if self.hdfs.status(part)["length"] != file.stat().st_size:
                raise ConnectionLostError(f"{self._uri(name)} was cut short on its way; rerun")
            self.hdfs.replace(part, target)
        except BaseException:
            with suppress(NycTaxiError, FileNotFoundError):
                self.hdfs.delete(part)
            raise
        self._remove_abandoned(folder, name)

    def _remove_abandoned(self, folder: str, name: str) -> None:
        oldest = (time() - ABANDONED.total_seconds()) * 1000
        for status in self.hdfs.list(folder):
            part = re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{32}}\.part", status["pathSuffix"])
            if part and status["modificationTime"] < oldest:
                with suppress(FileNotFoundError):
                    self.hdfs.delete(f"{folder}/{part[0]}")

    def _get(self, key: str) -> Path:
        status = self._status(key)
        copy = settings().data_dir / "hdfs" / self.place / self._path(key).strip("/")
        written = status["modificationTime"] * 1_000_000
        if copy.is_file():
            found = copy.stat()
            if (found.st_size, found.st_mtime_ns) == (status["length"], written):
                return copy
        with atomic_write(copy) as part:
            with part.open("wb") as content:
                for chunk in self.hdfs.read(inode(status)):
                    content.write(chunk)
            if part.stat().st_size != status["length"]:
                raise ConnectionLostError(f"{self._uri(key)} was cut short on its way; rerun")
            os.utime(part, ns=(written, written))
        return copy

    def _probe(self) -> None:
        empty = Path(os.devnull)
        folder = self.folder
        while folder:  # a folder that does not exist is created by the first file
            with suppress(FileNotFoundError):
                self.hdfs.status(folder)
                break
            folder = folder.rpartition("/")[0]
        probe = f"{folder}/.check-{uuid4().hex}"
        self.hdfs.write(empty, probe)
        self.hdfs.delete(probe)

    def _status(self, key: str) -> dict[str, Any]:
        try:
            return self.hdfs.status(self._path(key))
        except FileNotFoundError:
            raise StorageError(
                f"the lake {self._uri('')} has no {key}; ingest it with etl_web_to_gcs.py"
            ) from None

    def _path(self, key: str) -> str:
        return f"{self.folder}/{key}"

    def _uri(self, key: str) -> str:
        return f"hdfs://{self.place}{self._path(key)}"

    def _run(self, call: Callable[[], T]) -> T:
        """Send requests from a thread that a signal does not have to wait for."""
        try:
            return interruptible(call, lambda: None)
        except FileNotFoundError as problem:
            raise replaced(self._uri("")) from problem


def _default_place() -> str:
    """Return the host of fs.defaultFS; empty for one of another kind, such as viewfs."""
    default = urlsplit(hadoop_configuration().get("fs.defaultFS", ""))
    return default.netloc if default.scheme == "hdfs" else ""
