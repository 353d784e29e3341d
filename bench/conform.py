"""Time to conform a raw month, compared with the course and with a bare copy."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.measured import Measure, measure
from bench.processes import environment, make_month

ROWS = [1_370_000, 10_000_000]
ROUNDS = 3
SLOW = 30
"""Seconds; a slower contender runs only once."""
CONTENDERS = {
    "this_project": "this project",
    "the_course": "the course: pandas, gzip",
    "bare_copy": "lower bound: a bare DuckDB `COPY`",
}


def conform(rows: int) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        runs = _in_turn(make_month(folder, "yellow", rows), folder)
    best = {contender: min(run.seconds for run in runs[contender]) for contender in CONTENDERS}
    lines = [
        (
            title if len(runs[contender]) > 1 else f"{title} (run once)",
            f"{best[contender]:.2f}",
            f"{rows / best[contender]:,.0f}",
            f"{max(run.peak for run in runs[contender]):,.0f}",
            f"{best['the_course'] / best[contender]:.1f}",
            f"{best[contender] / best['bare_copy']:.2f}",
        )
        for contender, title in CONTENDERS.items()
    ]
    header = (
        "contender",
        "seconds",
        "rows/s",
        "peak MB",
        "speed / the course",
        "time / lower bound",
    )
    title = f"A raw yellow month of {rows:,} rows to clean Parquet, best of {ROUNDS}"
    return f"{title}\n\n{table(header, lines)}"


def _in_turn(raw: Path, folder: Path) -> dict[str, list[Measure]]:
    env = environment(folder)
    runs: dict[str, list[Measure]] = {contender: [] for contender in CONTENDERS}
    for _ in range(ROUNDS):
        for contender, done in runs.items():
            if done and done[0].seconds > SLOW:
                continue
            done.append(run := measure(contender, raw, folder / f"{contender}.parquet", env=env))
            print(f"{contender}: {run.seconds:.2f} s, {run.peak:.0f} MB", file=sys.stderr)
    return runs
