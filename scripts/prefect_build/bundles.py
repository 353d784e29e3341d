"""The files that a flow needs to run without a checkout, and their common version."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from .projects import FLOW_FILE, FLOWS, FlowFile

CACHES = re.compile(r"\.|__pycache__$|.*\.(pyc|pyo|egg-info)$")
TESTS = re.compile(r"(tests?|conftest)\.py$|test_.*\.py$|tests?$|README|deployment\.ya?ml$")
SECRETS = re.compile(
    r"\.env|.*\.(env|pem|key|p12|pfx|jks)$|.*(credentials?|service.?account|secret)s?.*\.json$",
    re.I,
)
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
DBT = "dbt"
DBT_WRITES = re.compile(r"(target|logs|\.user\.yml)$")
"""What dbt writes into its project."""
TRANSFORM = ("nyc_taxi", "transform")
"""The package that runs the dbt project."""
MAX_KEY_FILE = 100_000
"""Bytes; larger files are not searched for private keys."""


@dataclass(frozen=True)
class Bundle:
    """A flow's folder and what it imports from `flows/`, laid out as where the code is stored.

    The files of the flow's own folder are at the top, next to the packages it imports and the dbt
    project, if the flow builds tables.
    """

    files: dict[PurePosixPath, Path]
    """Path in the bundle -> path in the checkout."""
    secrets: tuple[Path, ...]
    """Skipped because they look like secrets."""

    @cached_property
    def contents(self) -> dict[str, bytes]:
        """Read once, so that the import, the version and the upload see the same bytes."""
        return {str(name): path.read_bytes() for name, path in sorted(self.files.items())}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by name."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.contents.items()}

    @property
    def version(self) -> str:
        """16 hex digits of all names and contents: equal files have equal versions."""
        lines = "".join(f"{name}\0{digest}\n" for name, digest in self.digests.items())
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    def copy_to(self, folder: Path) -> None:
        for name, data in self.contents.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def build_bundle(flow: FlowFile) -> Bundle:
    """Collect the flow's folder, its `config/` and the modules it imports from `flows/`.

    A package without flows (nyc_taxi) is taken as a whole, as it may import modules and read files
    at run time. Of another project, the imported modules are taken, each with the `config/` next
    to it.
    """
    flows = flow.root / FLOWS
    files: dict[PurePosixPath, Path] = {}
    secrets: list[Path] = []
    packages: set[Path] = set()
    for place in [flow.folder] if flow.project else [flow.path, flows / "config"]:
        for path in _collect_files(place, secrets):
            files[PurePosixPath(path.relative_to(flow.folder).as_posix())] = path
    queue = list(files)
    while queue:
        importer = queue.pop()
        for path in _imported_files(importer, files[importer], flow, secrets, packages):
            name = PurePosixPath(path.relative_to(flows).as_posix())
            if name not in files:
                files[name] = path
                queue.append(name)
                for rules in _collect_files(path.parent / "config", secrets):
                    files.setdefault(PurePosixPath(rules.relative_to(flows).as_posix()), rules)
    if _builds_tables(files, flow):
        for path in _collect_files(flow.root / DBT, secrets, DBT_WRITES):
            files[PurePosixPath(path.relative_to(flow.root).as_posix())] = path
    return Bundle(files, tuple(secrets))


def _builds_tables(files: dict[PurePosixPath, Path], flow: FlowFile) -> bool:
    """Return whether a module outside of the library imports TRANSFORM."""
    library = flow.root / FLOWS / TRANSFORM[0]
    own = (path for path in files.values() if not path.is_relative_to(library))
    names = (name for path in own if path.suffix == ".py" for name in _imported_names(path, flow))
    return any(name[: len(TRANSFORM)] == TRANSFORM for name in names)


def _collect_files(
    place: Path, secrets: list[Path], skipped: re.Pattern[str] = TESTS
) -> Iterator[Path]:
    """Yield the file, or the code files under the folder; append what looks secret to `secrets`."""
    if SECRETS.match(place.name) or (place.is_file() and _contains_private_key(place)):
        secrets.append(place)
    elif CACHES.match(place.name) or skipped.match(place.name):
        return
    elif place.is_file():
        yield place
    elif place.is_dir():
        for child in sorted(place.iterdir()):
            yield from _collect_files(child, secrets, skipped)


def _contains_private_key(path: Path) -> bool:
    return path.stat().st_size < MAX_KEY_FILE and bool(PRIVATE_KEY.search(path.read_bytes()))


def _imported_files(
    name: PurePosixPath, path: Path, flow: FlowFile, secrets: list[Path], packages: set[Path]
) -> Iterator[Path]:
    """Yield the files under `flows/` that a Python file imports, inside functions too.

    `packages`: packages without flows that were collected before; their files are not repeated.
    Relative imports of the flow's own folder by a file at the top are skipped: the folder is
    already in the bundle.
    """
    if path.suffix != ".py":
        return
    flows = flow.root / FLOWS
    at_top = name.parts[:-1] != path.relative_to(flows).parts[:-1]
    for imported in _imported_names(path, flow, at_top):
        yield from _module_files(imported, flows, secrets, packages)


def _imported_names(path: Path, flow: FlowFile, at_top: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield `a.b.c` for each name that a Python file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return
    flows = flow.root / FLOWS
    package = path.relative_to(flows).parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            if at_top and base and flows.joinpath(*base).is_relative_to(flow.folder):
                continue
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


def _module_files(
    name: tuple[str, ...], flows: Path, secrets: list[Path], packages: set[Path]
) -> Iterator[Path]:
    """Yield the file of `a.b.c`, a module or a name in one, and the __init__.py files above it."""
    if not name or name[0] in sys.stdlib_module_names:
        return
    top = flows / name[0]
    if top in packages:
        return
    if top.is_dir() and not any(top.glob(f"*/{FLOW_FILE}")):
        packages.add(top)
        yield from _collect_files(top, secrets)
        return
    for depth in range(1, len(name) + 1):
        place = flows.joinpath(*name[:depth])
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                yield path
