"""Where flows lie: `flows/<project>/<flow>/flow.py`, and the scripts at the top of `flows/`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.errors import InvalidInputError

FLOWS = "flows"
FILE = "flow.py"


@dataclass(frozen=True, order=True)
class FlowFile:
    """A file that holds a flow; nothing of it has been run yet."""

    root: Path
    """The checkout: the folder that holds `flows/`."""
    path: Path
    """Absolute."""

    @property
    def project(self) -> str | None:
        """None for a script at the top of `flows/`."""
        inside = self.path.relative_to(self.root / FLOWS).parts
        return inside[0] if len(inside) == 3 else None

    @property
    def folder(self) -> Path:
        return self.path.parent

    def __str__(self) -> str:
        return self.path.relative_to(self.root).as_posix()


def find_flows(root: Path, projects: list[str], paths: list[Path]) -> list[FlowFile]:
    """Find all flows, or those of `projects` and `paths`. Raises InvalidInputError for others."""
    found = sorted(_all(root))
    if not found:
        raise InvalidInputError(
            f"no flow lies under {root / FLOWS}; a flow is flows/<project>/<flow>/{FILE}"
        )
    known = {flow.project for flow in found if flow.project}
    if unknown := sorted(set(projects) - known):
        there = ", ".join(sorted(known)) or f"none yet: make flows/<project>/<flow>/{FILE}"
        raise InvalidInputError(
            f"no project {', '.join(unknown)} in {root / FLOWS}; there is {there}"
        )
    chosen = {_at(path, found, root) for path in paths}
    chosen |= {flow for flow in found if flow.project in projects}
    return sorted(chosen) if projects or paths else found


def _all(root: Path) -> Iterator[FlowFile]:
    for path in (root / FLOWS).glob("*.py"):
        if defines_flow(path):
            yield FlowFile(root, path)
    for path in (root / FLOWS).glob(f"*/*/{FILE}"):
        yield FlowFile(root, path)


def _at(path: Path, found: list[FlowFile], root: Path) -> FlowFile:
    """The flow in this file or this folder, told from here or from the checkout."""
    for place in (path.resolve(), (root / path).resolve()):
        for flow in found:
            if place in (flow.path, flow.folder if flow.project else flow.path):
                return flow
    raise InvalidInputError(f"{path} is no flow; there is {', '.join(map(str, found))}")


def defines_flow(path: Path) -> bool:
    try:
        return bool(flows_in(path))
    except SyntaxError:
        return True  # so that whoever imports it says where


def flows_in(path: Path) -> dict[str, str]:
    """The functions that are decorated with @flow, and what Prefect calls them.

    The file is only read. Raises SyntaxError.
    """
    return {
        node.name: _name(decorator) or node.name.replace("_", "-")
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        if _is_flow(decorator)
    }


def _is_flow(decorator: ast.expr) -> bool:
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (
        isinstance(named, ast.Name | ast.Attribute)
        and (named.id if isinstance(named, ast.Name) else named.attr) == "flow"
    )


def _name(decorator: ast.expr) -> str | None:
    """What `@flow(name="...")` says."""
    for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None
