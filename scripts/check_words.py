"""Find unidiomatic phrases and British spellings in all tracked text files: see words.csv.

Prints one line per finding and exits with 1. A line that contains `words: ok` is skipped.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "scripts" / "words.csv"
"""Columns: a phrase, as a regular expression for whole words, and what to write instead."""
SKIPPED = {"LICENSE", "uv.lock", "scripts/words.csv", "tests/unit/test_check_words.py"}

with LIST.open(newline="") as file:
    PATTERNS = {
        re.compile(rf"\b({row['phrase']})\b", re.IGNORECASE): row["instead"]
        for row in csv.DictReader(file)
    }


def find(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, phrase and what to write instead."""
    for number, line in enumerate(text.splitlines(), 1):
        if "words: ok" not in line:
            for pattern, instead in PATTERNS.items():
                yield from ((number, found[0], instead) for found in pattern.finditer(line))


def main() -> int:
    argparse.ArgumentParser(prog="check_words.py", description=__doc__).parse_args()
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    findings = 0
    for name in sorted(set(names) - SKIPPED):
        try:
            text = (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # binary, or deleted but not committed
            continue
        for number, phrase, instead in find(text):
            print(f"{name}:{number}: {phrase!r}; instead: {instead}")
            findings += 1
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
