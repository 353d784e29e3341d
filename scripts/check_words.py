"""Find unidiomatic phrases and British spellings in all tracked text files.

Prints one line per finding and exits with 1. A line that contains `words: ok` is skipped.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TERMS = {
    r"(colour|behaviour|neighbour|favour|honour)\w*": "American spelling: color, behavior, ...",
    r"(licence|catalogue|centre|grey|analyse)": "license, catalog, center, gray, analyze",
    r"\w+(organi|recogni|normali|initiali|seriali|minimi)s(e|ed|es|ing)": "-ize",
    r"mend(s|ed|ing)?": "fix",
    r"shall": "must, or the present tense",
    r"beside": "next to",
    r"nobody": "no one; unused",
    r"namesakes?": "duplicate names",
    r"half-way": "mid-write; halfway",
    r"for who(ever)?": "for users who; if there is no",
    r"for want of": "because ... is missing",
    r"out there": "reachable; public",
    r"(may|can) pass": "transient",
    r"can_pass": "retryable",
    r"left out": "omitted; skipped",
    r"(is|are) told": "is reported; is logged",
    r"(is|are) no (whole|valid|number)": "is not a",
    r"cannot be meant": "is invalid",
    r"(has|have) not the": "does not have the",
    r"of (its|their|his|one's) own": "its own; separate",
    r"of another make": "that these flows did not create",
    r"in the place of": "replaces; swapped in for",
    r"what (lies|stands|was here|is here|was there|is there|it holds)": "name the thing",
    r"(lies|lay) (in|at|on|under|here|there)": "is stored in; is at",
    r"goes? on (from|where)": "resumes",
    r"(tries|tried|trying) again": "retry",
    r"made up for": "recovered by",
    r"waited for": "the timeout is; polled",
    r"give(s)? no": "does not return",
    r"the way of": "pipeline; path",
    r"exchange[sd]? the (table|month|partition)": "swap",
    r"(thereof|hereof|whereof|naught)": "plain English",
}
PATTERNS = {re.compile(rf"\b({p})\b", re.IGNORECASE): term for p, term in TERMS.items()}
SKIPPED = {"LICENSE", "uv.lock", "scripts/check_words.py", "tests/unit/test_check_words.py"}


def find(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, phrase and plain term."""
    for number, line in enumerate(text.splitlines(), 1):
        if "words: ok" not in line:
            for pattern, term in PATTERNS.items():
                yield from ((number, found[0], term) for found in pattern.finditer(line))


def main() -> int:
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    findings = 0
    for name in sorted(set(names) - SKIPPED):
        try:
            text = (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # binary, or deleted but not committed
            continue
        for number, phrase, term in find(text):
            print(f"{name}:{number}: {phrase!r}: use {term}")
            findings += 1
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
