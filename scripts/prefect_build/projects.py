"""The flow files of a checkout: `flows/<project>/<flow>/flow.py` and the scripts in `flows/`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.errors import InvalidInputError

FLOWS = "flows"
FLOW_FILE = "flow.py"


@dataclass(frozen=True, order=True)
class FlowFile:
    """A file that defines a flow; it has not been imported."""

    root: Path
    """The checkout: the folder that contains `flows/`."""
    path: Path
    """Absolute."""

    @property
    def project(self) -> str | None:
        """None for a script directly in `flows/`."""
        parts = self.path.relative_to(self.root / FLOWS).parts
        return parts[0] if len(parts) == 3 else None

    @property
    def folder(self) -> Path:
        return self.path.parent

    def __str__(self) -> str:
        return self.path.relative_to(self.root).as_posix()


def find_flows(root: Path, projects: list[str], paths: list[Path]) -> list[FlowFile]:
    """Return all flow files, or those in the given projects and paths.

    Raises InvalidInputError for a project or path without a flow.
    """
    files = sorted(_all_flow_files(root))
    if not files:
        raise InvalidInputError(
            f"no flows in {root / FLOWS}; create flows/<project>/<flow>/{FLOW_FILE}"
        )
    known = {flow.project for flow in files if flow.project}
    if unknown := sorted(set(projects) - known):
        names = ", ".join(sorted(known)) or f"none yet; create flows/<project>/<flow>/{FLOW_FILE}"
        raise InvalidInputError(
            f"unknown project {', '.join(unknown)}; projects in {root / FLOWS}: {names}"
        )
    selected = {_flow_at(path, files, root) for path in paths}
    selected |= {flow for flow in files if flow.project in projects}
    return sorted(selected) if projects or paths else files


def _all_flow_files(root: Path) -> Iterator[FlowFile]:
    for path in (root / FLOWS).glob("*.py"):
        if _defines_flow(path):
            yield FlowFile(root, path)
    for path in (root / FLOWS).glob(f"*/*/{FLOW_FILE}"):
        yield FlowFile(root, path)


def _flow_at(path: Path, files: list[FlowFile], root: Path) -> FlowFile:
    """Return the flow of this file or folder, relative to the working directory or the checkout."""
    for place in (path.resolve(), (root / path).resolve()):
        for flow in files:
            if place in (flow.path, flow.folder if flow.project else flow.path):
                return flow
    raise InvalidInputError(f"{path} is not a flow; flows: {', '.join(map(str, files))}")


def _defines_flow(path: Path) -> bool:
    try:
        return bool(declared_flows(path))
    except SyntaxError:
        return True  # importing it reports the line


def declared_flows(path: Path) -> dict[str, str]:
    """Return the functions decorated with @flow, and Prefect's names of the flows.

    The file is parsed, not imported. Raises SyntaxError.
    """
    return {
        node.name: _name_argument(decorator) or node.name.replace("_", "-")
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        if _is_flow(decorator)
    }


def _is_flow(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (
        isinstance(function, ast.Name | ast.Attribute)
        and (function.id if isinstance(function, ast.Name) else function.attr) == "flow"
    )


def _name_argument(decorator: ast.expr) -> str | None:
    """Return the name in `@flow(name="...")`."""
    for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None
