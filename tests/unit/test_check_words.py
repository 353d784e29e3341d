"""The language check of `make check`."""

import subprocess
import sys

import pytest

from scripts.check_words import find
from tests.support.processes import ROOT


@pytest.mark.parametrize(
    ("line", "phrases"),
    [
        ("What to mend beside the table", ["mend", "beside"]),  # words: ok
        ("the Neighbouring colours", ["colours", "Neighbouring"]),  # words: ok
        ("a command, recommended; besides, amendments", []),
        ("nobody reads it  # words: ok", []),
    ],
)
def test_find_reports_phrases_of_the_list(line: str, phrases: list[str]) -> None:
    assert sorted(phrase for _, phrase, _ in find(line)) == sorted(phrases)


def test_find_reports_line_and_replacement() -> None:
    text = "fine\nit shall work"  # words: ok
    assert list(find(text)) == [(2, "shall", "must, or the present tense")]  # words: ok


@pytest.mark.slow  # make check runs it
def test_project_has_no_findings() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/check_words.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
