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
PATIENCE = 30
"""Seconds; a way that took longer is not run again."""
WAYS = {
    "this_project": "this project",
    "the_course": "the course: pandas, gzip",
    "bare_copy": "the limit: a bare DuckDB `COPY`",
}


def conform(rows: int) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        runs = _in_turn(make_month(folder, "yellow", rows), folder)
    best = {way: min(run.seconds for run in runs[way]) for way in WAYS}
    lines = [
        (
            title if len(runs[way]) > 1 else f"{title} (run once)",
            f"{best[way]:.2f}",
            f"{rows / best[way]:,.0f}",
            f"{max(run.peak for run in runs[way]):,.0f}",
            f"{best['the_course'] / best[way]:.1f}",
            f"{best[way] / best['bare_copy']:.2f}",
        )
        for way, title in WAYS.items()
    ]
    header = ("way", "seconds", "rows/s", "peak MB", "speed / the course", "time / the limit")
    title = f"A raw yellow month of {rows:,} rows to clean Parquet, best of {ROUNDS}"
    return f"{title}\n\n{table(header, lines)}"


def _in_turn(raw: Path, folder: Path) -> dict[str, list[Measure]]:
    env = environment(folder)
    runs: dict[str, list[Measure]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, done in runs.items():
            if done and done[0].seconds > PATIENCE:
                continue
            done.append(run := measure(way, raw, folder / f"{way}.parquet", env=env))
            print(f"{way}: {run.seconds:.2f} s, {run.peak:.0f} MB", file=sys.stderr)
    return runs
