"""What build.py prints."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .buckets import Bucket
from .plan import Row

T = TypeVar("T")
UNBROKEN_WIDTH = 10_000
"""Columns of a table written to a file or a pull request, where rows must not wrap."""


def progress(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield the items and, in a terminal, show a progress bar."""
    console = Console(stderr=True)
    yield from track(
        items, description, total, console=console, transient=True, disable=not console.is_terminal
    )


def print_rows(rows: list[Row], bucket: Bucket | None, dry_run: bool, notes: list[str]) -> None:
    """Print a Markdown table, skipped secrets, findings, notes and the number of each status."""
    table = Table(box=box.MARKDOWN)
    for column in ("flow", "entrypoint", "code", "work pool", "schedule", "status"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row.cells(bucket))
    width = None if sys.stdout.isatty() else UNBROKEN_WIDTH
    console = Console(width=width, highlight=False, markup=False)
    console.print(table)
    for secret in sorted({path for row in rows if bucket for path in row.bundle.secrets}):
        console.print(f"skipped (looks like a secret): {secret}", soft_wrap=True)
    for row in rows:
        for finding in row.findings:
            console.print(f"{row.file}: {finding}", soft_wrap=True)
    for note in notes:
        console.print(note, soft_wrap=True)
    counts = Counter(row.status.partition(" ")[0] for row in rows)
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    console.print(f"\n{summary}{' (dry run: nothing was changed)' if dry_run else ''}")


def print_findings(checks: Iterable[tuple[str, list[str]]]) -> bool:
    """Print what each check found; return True if nothing was found."""
    checked = broken = 0
    for name, findings in checks:
        checked += 1
        broken += bool(findings)
        for finding in findings:
            print(f"{name}: {finding}")
    print(f"{checked} checked, {broken or 'none'} broken")
    return not broken
