"""The functions behind `<!-- generated: NAME ARGUMENT -->`."""

from __future__ import annotations

from collections.abc import Callable

from docs.tools.commands import deployments, help_text, parameters, target_table
from docs.tools.dictionary import aliases, codes, columns, rides
from docs.tools.messages import messages

GENERATORS: dict[str, Callable[[str], str]] = {
    "aliases": aliases,
    "codes": codes,
    "columns": columns,
    "deployments": lambda _: deployments(),
    "help": help_text,
    "messages": lambda _: messages(),
    "parameters": parameters,
    "rides": lambda _: rides(),
    "targets": lambda _: target_table(),
}


def generate(name: str, argument: str) -> str:
    return GENERATORS[name](argument)
