"""Lower bound: DuckDB copies the file unchanged, with all cores and unlimited memory."""

from pathlib import Path

import duckdb


def run(raw: Path, target: Path) -> None:
    duckdb.execute(
        f"COPY (FROM read_parquet('{raw}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    )
