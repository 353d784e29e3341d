"""DuckDB as the engine that moves rows, within the memory limit of the settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from nyc_taxi.cancellation import interruptible
from nyc_taxi.errors import StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import translate_os_errors

MEMORY_PER_THREAD = 125_000_000
"""Minimum bytes of memory per thread that DuckDB recommends
(https://duckdb.org/docs/stable/guides/performance/how_to_tune_workloads)."""
_UNITS = {"K": 10, "M": 20, "G": 30}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def parquet_sql(path: Path | str, **options: str) -> str:
    """Return SQL that reads exactly one Parquet file, with exactly the columns in the file.

    Hive partitioning is off: a folder such as `VendorID=7` in the path would replace the column
    VendorID. Glob characters in the path are escaped.
    """
    given = {"hive_partitioning": "false", **options}
    arguments = ", ".join(f"{name} = {value}" for name, value in given.items())
    return f"read_parquet({literal(exact_path(path))}, {arguments})"


def exact_path(path: Path | str) -> str:
    """Escape the characters that DuckDB would treat as a glob pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


@contextmanager
def translate_duckdb_errors(place: object) -> Iterator[None]:
    """Turn errors of DuckDB into StorageError; `place` is the file or table to name."""
    try:
        yield
    except duckdb.OutOfMemoryException as problem:
        raise StorageError(
            f"{place}: the load needs more memory than NYC_TAXI_MEMORY={settings().memory}; "
            "nothing was changed; raise it and rerun"
        ) from problem
    except duckdb.Error as problem:
        raise StorageError(
            f"{place}: {str(problem).splitlines()[0]}; nothing was changed"
        ) from problem


class Database:
    """DuckDB connection whose statements are interrupted by a signal or a stopped run."""

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
        """Commit. Not interruptible."""
        self.connection.commit()

    def rollback(self) -> None:
        with suppress(duckdb.Error):  # a failed commit has done it
            self.connection.rollback()

    def query_progress(self) -> float:
        """Return the progress of the running statement in percent."""
        return self.connection.query_progress()


@contextmanager
def open_duckdb(path: str = ":memory:", threads: int | None = None) -> Iterator[Database]:
    """Open a DuckDB database with its own spill folder under NYC_TAXI_DATA_DIR.

    Only `threads=1` preserves the row order of the file. The session time zone is UTC.
    """
    config = settings()
    spill = config.data_dir / "tmp"
    with translate_os_errors(spill):
        spill.mkdir(parents=True, exist_ok=True)
        # A folder per connection: DuckDB names spill files by process id, which containers share.
        own = TemporaryDirectory(dir=spill, prefix="duckdb-", ignore_cleanup_errors=True)
    with own, duckdb.connect(path) as connection:
        db = Database(connection)
        db.execute(f"SET memory_limit = {literal(config.memory)}")
        db.execute(f"SET temp_directory = {literal(own.name)}")
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET preserve_insertion_order = false")
        # A TLC file is one row group; prefetching would hold all of it in memory.
        db.execute("SET disable_parquet_prefetching = true")
        db.execute(f"SET threads = {threads or _threads(config.memory)}")
        yield db


def _threads(memory: str) -> int:
    """Return the number of threads that the memory limit allows, at most one per core."""
    number, unit = re.fullmatch(r"([\d.]+) ?([KMG])i?B", memory).groups()  # type: ignore[union-attr]
    enough = float(number) * 2 ** _UNITS[unit] // MEMORY_PER_THREAD
    return max(1, min(int(enough), os.cpu_count() or 1))
