"""The pages, and the blocks in them that are generated or recorded.

<!-- generated: help flows/etl_web_to_bq.py -->      text of a function in `generators`
<!-- recorded -->                                    output of the commands in the block
<!-- end -->
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_GENERATED = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
RECORDED = re.compile(r"(?<=<!-- recorded -->\n```console\n).*?(?=```\n<!-- end -->)", re.DOTALL)
"""The commands of one block, each after `$ `, and what they printed."""


def pages() -> list[Path]:
    """Return every page of the site, and the Markdown files next to the README."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def generated(page: str, generate: Callable[[str, str], str]) -> str:
    """Return the page with every generated block renewed by `generate(name, argument)`."""

    def renew(block: re.Match[str]) -> str:
        name, _, argument = block[2].partition(" ")
        return f"{block[1]}\n{generate(name, argument).strip()}\n\n{block[3]}"

    return _GENERATED.sub(renew, page)


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
