"""What can be seen of a flow's code without running it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from buckets import MANIFEST
from bundles import Bundle
from deployments import read_yaml
from nyc_taxi.conform.column_rules import read_rules
from nyc_taxi.errors import InvalidInputError
from projects import FLOWS, FlowFile

CONFIG = PurePosixPath("config")
RULES = (CONFIG / "column_types.yaml", CONFIG / "sensitive_fields.yaml")
DATED = re.compile(r".*_\d{4}_\d{2}_\d{2}\.py$")


def check_folders(flow: FlowFile, files: Bundle) -> Iterator[str]:
    """Findings in a checkout: one line each, what is wrong and what mends it."""
    packages = {path.parent for path in files.files.values() if path.suffix == ".py"}
    if flow.project:
        packages |= {flow.folder, flow.folder.parent}
    for package in sorted(packages - {flow.root / FLOWS}):
        if not (package / "__init__.py").is_file():
            place = package.relative_to(flow.root).as_posix()
            yield f"the package {place} has no __init__.py; run: touch {place}/__init__.py"
    if (flow.folder / "deployment.yml").is_file() and flow.project:
        yield "deployment.yml is not read; rename it: deployment.yaml"
    if PurePosixPath(MANIFEST) in files.files:
        yield f"{MANIFEST} is the name of what build.py puts beside the code; rename the flow's own"
    yield from check_files(files.files)


def check_bundle(files: Mapping[PurePosixPath, Path]) -> Iterator[str]:
    """Findings in a bundle, where the flow's own folder is the top."""
    packages = {name.parent for name in files if name.suffix == ".py"} - {PurePosixPath(".")}
    for package in sorted(packages):
        if package / "__init__.py" not in files:
            yield (
                f"the package {package} has no __init__.py; make one in its folder under flows/ "
                "and run build.py again"
            )
    yield from check_files(files)


def check_files(files: Mapping[PurePosixPath, Path]) -> Iterator[str]:
    for name, path in sorted(files.items()):
        if len(name.parts) == 1 and DATED.match(name.name):
            yield f"{name} is an old copy of a flow; delete it: git keeps what it was"
        if name.suffix in (".yaml", ".yml") and name not in RULES:
            yield from _refused(read_yaml, path, name)
    for folder in {path.parent for name, path in files.items() if name.parent == CONFIG}:
        yield from _refused(read_rules, folder, CONFIG)


def _refused(read: Callable[[Path], object], path: Path, name: PurePosixPath) -> Iterator[str]:
    """What a reader says of a file, by its name in the bundle."""
    try:
        read(path)
    except InvalidInputError as problem:
        yield str(problem).replace(str(path), str(name))
