"""The limit: DuckDB copies the file as it is, with all cores and all the memory it wants."""

from pathlib import Path

import duckdb


def run(raw: Path, target: Path) -> None:
    duckdb.execute(
        f"COPY (FROM read_parquet('{raw}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    )
