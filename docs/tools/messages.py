"""Every error class of the code, and its messages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from docs.tools.pages import ROOT, markdown_table

FOLDERS = ("flows", "blocks", "scripts", "local_services", "synthetic_tlc")
BASES = ("NycTaxiError", "ServiceStartError")
"""Roots of the errors that a command prints as one line."""


@cache
def _code() -> list[ast.AST]:
    """Return every node of the code."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    trees = [ast.parse(path.read_text()) for path in paths if path.name != "tests.py"]
    return [node for tree in trees for node in ast.walk(tree)]


@cache
def classes() -> frozenset[str]:
    """Return the names of the error classes."""
    found = set(BASES)
    for _ in range(4):  # levels of the tree
        found |= {
            node.name
            for node in _code()
            if isinstance(node, ast.ClassDef)
            and any(isinstance(base, ast.Name) and base.id in found for base in node.bases)
        }
    return frozenset(found)


def messages() -> str:
    """Return the messages of every class; a value is shown as `<its name>`."""
    found = sorted(set(_messages()))
    return "\n\n".join(
        f"### {name} messages\n\n"
        + markdown_table(["message"], [[t] for n, t in found if n == name])
        for name in sorted({name for name, _ in found})
    )


def _messages() -> Iterator[tuple[str, str]]:
    for node in _code():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            text = _text(node.args[0])
            if node.func.id in classes() and len(text.split()) > 3:
                yield node.func.id, f"`{text}`"


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value).replace("`", "'").replace("|", "\\|")
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value)
    if isinstance(node, ast.Name | ast.Attribute):
        return f"<{(node.id if isinstance(node, ast.Name) else node.attr).strip('_').lower()}>"
    return "<...>"
