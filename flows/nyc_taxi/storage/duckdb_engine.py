"""DuckDB as the engine that moves rows, within the memory that the settings give it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from nyc_taxi.cancellation import interruptible
from nyc_taxi.errors import StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import translate_os_errors

MEMORY_PER_THREAD = 125_000_000
"""Bytes of memory that DuckDB recommends for each thread
(https://duckdb.org/docs/stable/guides/performance/how_to_tune_workloads)."""
_UNITS = {"K": 10, "M": 20, "G": 30}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def parquet_sql(path: Path | str, **options: str) -> str:
    """SQL that reads one Parquet file: the columns that are in the file, and no others.

    Without `hive_partitioning = false` a folder such as `VendorID=7` in the path would replace the
    column VendorID. A `*`, `?` or `[` in the path would match another file.
    """
    given = {"hive_partitioning": "false", **options}
    arguments = ", ".join(f"{name} = {value}" for name, value in given.items())
    return f"read_parquet({literal(exact_path(path))}, {arguments})"


def exact_path(path: Path | str) -> str:
    """Escape the characters that DuckDB would treat as a glob pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


@contextmanager
def translate_duckdb_errors(place: object) -> Iterator[None]:
    """Turn what DuckDB raises while it writes to a store into one line."""
    try:
        yield
    except duckdb.OutOfMemoryException as problem:
        raise StorageError(
            f"{place}: the load needs more memory than NYC_TAXI_MEMORY={settings().memory} allows; "
            "nothing was changed, set it higher and run this again"
        ) from problem
    except duckdb.Error as problem:
        raise StorageError(
            f"{place}: {str(problem).splitlines()[0]}; nothing was changed"
        ) from problem


class Database:
    """A DuckDB connection whose statements a signal, or a stopped run, interrupts."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def execute(self, sql: str, parameters: object = None) -> duckdb.DuckDBPyConnection:
        return interruptible(
            lambda: self.connection.execute(sql, parameters), self.connection.interrupt
        )

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        return self.connection.sql(query)

    def register(self, name: str, rows: Any) -> None:
        self.connection.register(name, rows)

    def begin(self) -> None:
        self.connection.begin()

    def commit(self) -> None:
        """Not interruptible: once asked for, a commit happens."""
        self.connection.commit()

    def query_progress(self) -> float:
        """Percent of the running statement."""
        return self.connection.query_progress()


@contextmanager
def open_duckdb(path: str = ":memory:", threads: int | None = None) -> Iterator[Database]:
    """Open DuckDB; it spills to a separate folder for each connection, in the data folder.

    One thread keeps the rows in the file's order; more do not.
    """
    config = settings()
    spill = config.data_dir / "tmp"
    with translate_os_errors(spill):
        spill.mkdir(parents=True, exist_ok=True)
        # DuckDB names its files by process id, which two containers may share.
        own = TemporaryDirectory(dir=spill, prefix="duckdb-", ignore_cleanup_errors=True)
    with own, duckdb.connect(path) as connection:
        db = Database(connection)
        db.execute(f"SET memory_limit = {literal(config.memory)}")
        db.execute(f"SET temp_directory = {literal(own.name)}")
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET preserve_insertion_order = false")
        # The TLC's files are one row group each, which DuckDB would otherwise hold in memory whole.
        db.execute("SET disable_parquet_prefetching = true")
        db.execute(f"SET threads = {threads or _threads(config.memory)}")
        yield db


def _threads(memory: str) -> int:
    """As many as the memory is enough for, at most one for each core."""
    number, unit = re.fullmatch(r"([\d.]+) ?([KMG])i?B", memory).groups()  # type: ignore[union-attr]
    enough = float(number) * 2 ** _UNITS[unit] // MEMORY_PER_THREAD
    return max(1, min(int(enough), os.cpu_count() or 1))
