"""Checks of a flow's files that need no import."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from nyc_taxi.conform.column_rules import read_rules
from nyc_taxi.errors import InvalidInputError

from .bundles import Bundle
from .code_store import MANIFEST
from .deployments import read_yaml
from .projects import FLOWS, FlowFile

CONFIG = PurePosixPath("config")
RULES = (CONFIG / "column_types.yaml", CONFIG / "sensitive_fields.yaml")
DATED = re.compile(r".*_\d{4}_\d{2}_\d{2}\.py$")


def check_checkout(flow: FlowFile, bundle: Bundle) -> Iterator[str]:
    """Yield one line for each problem in the checkout: what is wrong and how to fix it."""
    packages = {path.parent for path in bundle.files.values() if path.suffix == ".py"}
    if flow.project:
        packages |= {flow.folder, flow.folder.parent}
    for package in sorted(packages - {flow.root / FLOWS}):
        if not (package / "__init__.py").is_file():
            place = package.relative_to(flow.root).as_posix()
            yield f"the package {place} has no __init__.py; run: touch {place}/__init__.py"
    if (flow.folder / "deployment.yml").is_file() and flow.project:
        yield "deployment.yml is ignored; rename it to deployment.yaml"
    if PurePosixPath(MANIFEST) in bundle.files:
        yield f"{MANIFEST} is reserved for the list of files that build.py writes; rename the file"
    yield from _check_files(bundle.files)


def check_stored_version(files: Mapping[PurePosixPath, Path]) -> Iterator[str]:
    """Yield one line for each problem in a downloaded version."""
    packages = {name.parent for name in files if name.suffix == ".py"} - {PurePosixPath(".")}
    for package in sorted(packages):
        if package / "__init__.py" not in files:
            yield (
                f"the package {package} has no __init__.py; add it in its folder under flows/ "
                "and rerun build.py"
            )
    yield from _check_files(files)


def _check_files(files: Mapping[PurePosixPath, Path]) -> Iterator[str]:
    for name, path in sorted(files.items()):
        if len(name.parts) == 1 and DATED.match(name.name):
            yield f"{name} is an old copy of a flow; delete it, as git keeps its history"
        if name.suffix in (".yaml", ".yml") and name not in RULES:
            yield from _read_errors(read_yaml, path, name)
    for folder in {path.parent for name, path in files.items() if name.parent == CONFIG}:
        yield from _read_errors(read_rules, folder, CONFIG)


def _read_errors(read: Callable[[Path], object], path: Path, name: PurePosixPath) -> Iterator[str]:
    """Yield the error of reading a file, with its name in the bundle instead of its path."""
    try:
        read(path)
    except InvalidInputError as problem:
        yield str(problem).replace(str(path), str(name))
