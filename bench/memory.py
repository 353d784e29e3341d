"""Peak memory for the largest months, from raw file to warehouse."""

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.measured import measure
from bench.processes import environment, make_month

ROWS = 20_000_000
"""About the size of the largest fhvhv month."""


def memory(rows: int = ROWS) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        raw = make_month(folder, "fhvhv", rows)
        size = raw.stat().st_size / 1e6
        taken = measure("raw_to_warehouse", raw, folder, env=environment(folder))
    header = ("rows", "raw file, MB", "seconds", "rows/s", "peak MB")
    line = (
        f"{rows:,}",
        f"{size:,.0f}",
        f"{taken.seconds:.1f}",
        f"{rows / taken.seconds:,.0f}",
        f"{taken.peak:,.0f}",
    )
    title = "A raw fhvhv month to clean Parquet, the lake and the DuckDB warehouse, in one process"
    return f"{title}\n\n{table(header, [line])}"
