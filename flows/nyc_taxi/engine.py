"""DuckDB as the engine that moves rows, within the memory that the settings give it."""

from __future__ import annotations

import duckdb

from nyc_taxi.files import writing
from nyc_taxi.settings import settings


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def open_duckdb(path: str = ":memory:", threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """What does not fit in memory goes to the data folder.

    One thread keeps the rows in the file's order; more do not.
    """
    config = settings()
    spill = config.data_dir / "tmp"
    db = duckdb.connect(path)
    with writing(spill):
        spill.mkdir(parents=True, exist_ok=True)
    db.execute(f"SET memory_limit = {literal(config.memory)}")
    db.execute(f"SET temp_directory = {literal(spill)}")
    db.execute("SET preserve_insertion_order = false")
    # The TLC's files are one row group each, which DuckDB would otherwise take into memory whole.
    db.execute("SET disable_parquet_prefetching = true")
    if threads:
        db.execute(f"SET threads = {threads}")
    return db
