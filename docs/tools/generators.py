"""The functions behind `<!-- generated: NAME ARGUMENT -->`."""

from __future__ import annotations

from collections.abc import Callable

from docs.tools.commands import (
    deployments,
    flow_sections,
    help_text,
    sections,
    target_table,
)
from docs.tools.dictionary import aliases, codes, columns, hours, loads, rides
from docs.tools.messages import messages

GENERATORS: dict[str, Callable[[str], str]] = {
    "aliases": aliases,
    "codes": codes,
    "columns": columns,
    "deployments": lambda _: deployments(),
    "flows": lambda _: flow_sections(),
    "help": help_text,
    "hours": hours,
    "loads": lambda _: loads(),
    "messages": lambda _: messages(),
    "rides": lambda _: rides(),
    "scripts": sections,
    "targets": lambda _: target_table(),
}


def generate(name: str, argument: str) -> str:
    return GENERATORS[name](argument)
