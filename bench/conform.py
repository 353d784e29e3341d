"""How fast a raw month becomes a clean file, beside the course's way and beside the limit."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.measured import Measure, measure
from bench.processes import environment, make_month

ROWS = [1_370_000, 10_000_000]
ROUNDS = 3
PATIENCE = 60
"""Seconds; a way that took longer is not run again."""
WAYS = {
    "this_project": "this project",
    "the_course": "the course: pandas, gzip",
    "bare_copy": "the limit: a bare DuckDB `COPY`",
}


def conform(rows: int) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        best = _best(make_month(folder, "yellow", rows), folder)
    course, limit = best["the_course"].seconds, best["bare_copy"].seconds
    lines = [
        (
            title,
            f"{best[way].seconds:.2f}",
            f"{rows / best[way].seconds:,.0f}",
            f"{best[way].peak:,.0f}",
            f"{course / best[way].seconds:.1f}",
            f"{best[way].seconds / limit:.2f}",
        )
        for way, title in WAYS.items()
    ]
    header = ("way", "seconds", "rows/s", "peak MB", "times the course's speed", "times the limit")
    return f"A raw yellow month of {rows:,} rows to clean Parquet\n\n{table(header, lines)}"


def _best(raw: Path, folder: Path) -> dict[str, Measure]:
    """The shortest time and the highest peak of each way, run in turn."""
    env = environment(folder)
    best: dict[str, Measure] = {}
    for _ in range(ROUNDS):
        for way in WAYS:
            before = best.get(way)
            if before and before.seconds > PATIENCE:
                continue
            now = measure(way, raw, folder / f"{way}.parquet", env=env)
            print(f"{way}: {now.seconds:.2f} s, {now.peak:.0f} MB", file=sys.stderr)
            before = before or now
            best[way] = Measure(min(now.seconds, before.seconds), max(now.peak, before.peak))
    return best
