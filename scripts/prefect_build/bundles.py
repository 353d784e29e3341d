"""The files a flow needs to run where there is no checkout, and the version they make together."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from projects import FILE, FLOWS, FlowFile

CACHES = re.compile(r"\.|__pycache__$|.*\.(pyc|pyo|egg-info)$")
TESTS = re.compile(r"(tests?|conftest)\.py$|test_.*\.py$|tests?$|README|deployment\.ya?ml$")
SECRETS = re.compile(
    r"\.env|.*\.(env|pem|key|p12|pfx|jks)$|.*(credentials?|service.?account|secret)s?.*\.json$",
    re.I,
)
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


@dataclass(frozen=True)
class Bundle:
    """A flow's folder with what it imports from `flows/`, as it lies where the code is kept.

    The files of the flow's own folder are at the top, the packages it imports beside them.
    """

    files: dict[PurePosixPath, Path]
    """Where each file goes -> where it is."""
    secrets: tuple[Path, ...]
    """Left out, since they look like secrets."""

    @cached_property
    def contents(self) -> dict[str, bytes]:
        """Read once: what is imported, named by the version and uploaded is the same."""
        return {str(name): path.read_bytes() for name, path in sorted(self.files.items())}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by name."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.contents.items()}

    @property
    def version(self) -> str:
        """16 hex digits of all names and contents: the same files are the same version."""
        whole = "".join(f"{name}\0{digest}\n" for name, digest in self.digests.items())
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def copy_to(self, folder: Path) -> None:
        for name, data in self.contents.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def bundle(flow: FlowFile) -> Bundle:
    """Collect the flow's folder, its `config/` and, file by file, what is imported from `flows/`.

    A package in which no flow lies (nyc_taxi) is taken whole, as it may import and read what only
    shows when it runs; of another project only the modules named.
    """
    flows = flow.root / FLOWS
    files: dict[PurePosixPath, Path] = {}
    secrets: list[Path] = []
    own = [flow.folder] if flow.project else [flow.path, flows / "config"]
    for place in own:
        for path in _below(place, secrets):
            files[PurePosixPath(path.relative_to(flow.folder).as_posix())] = path
    todo = list(files)
    while todo:
        holder = todo.pop()
        for path in _imported(holder, files[holder], flow, secrets):
            name = PurePosixPath(path.relative_to(flows).as_posix())
            if name not in files:
                files[name] = path
                todo.append(name)
    return Bundle(files, tuple(secrets))


def _below(place: Path, secrets: list[Path]) -> Iterator[Path]:
    """The file, or the files under the folder, that code is; secrets are put aside."""
    if SECRETS.match(place.name) or (place.is_file() and _holds_a_key(place)):
        secrets.append(place)
    elif CACHES.match(place.name) or TESTS.match(place.name):
        return
    elif place.is_file():
        yield place
    elif place.is_dir():
        for inside in sorted(place.iterdir()):
            yield from _below(inside, secrets)


def _holds_a_key(path: Path) -> bool:
    return path.stat().st_size < 100_000 and bool(PRIVATE_KEY.search(path.read_bytes()))


def _imported(
    name: PurePosixPath, path: Path, flow: FlowFile, secrets: list[Path]
) -> Iterator[Path]:
    """The files under `flows/` that a Python file imports, anywhere in it.

    Not what a file at the top imports relatively from the flow's own folder: that is there already.
    """
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return
    flows = flow.root / FLOWS
    package = path.relative_to(flows).parts[:-1]
    at_top = name.parts[:-1] != package
    for node in ast.walk(tree):
        names: list[tuple[str, ...]] = []
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            if at_top and base and flows.joinpath(*base).is_relative_to(flow.folder):
                continue
            module = (*base, *(node.module.split(".") if node.module else ()))
            names = [(*module, alias.name) for alias in node.names]
        for imported in names:
            yield from _module(imported, flows, secrets)


def _module(name: tuple[str, ...], flows: Path, secrets: list[Path]) -> Iterator[Path]:
    """`a.b.c` (a module, or a name in one) as its file, with the __init__.py of what holds it."""
    if not name or name[0] in sys.stdlib_module_names:
        return
    top = flows / name[0]
    if top.is_dir() and not any(top.glob(f"*/{FILE}")):
        yield from _below(top, secrets)
        return
    for depth in range(1, len(name) + 1):
        place = flows.joinpath(*name[:depth])
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                yield path
