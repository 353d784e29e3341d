"""Generated checkouts with flows, for the tests of scripts/prefect_build."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from scripts.prefect_build.introspection import PRELOADED, start_fork_server

PRELOADED.extend(["cyclopts", "rich.progress"])  # build.py's own imports
ROOT = Path(__file__).parents[2]
BUILD = ROOT / "scripts" / "prefect_build" / "build.py"

FLOW = '''
from prefect import flow

@flow(name="{name}")
def {function}(number: int = 1) -> int:
    """A flow for the tests."""
    return number
'''


@dataclass
class Checkout:
    root: Path

    def write(self, place: str, text: str = "") -> Path:
        """Write a file, and create the folders and __init__.py files it needs under flows/."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip())
        folder = path.parent
        while path.suffix == ".py" and folder.name != "flows":
            (folder / "__init__.py").touch()
            folder = folder.parent
        return path

    def flow(self, project: str, name: str, text: str | None = None) -> Path:
        function = name.replace("-", "_")
        code = text if text is not None else FLOW.format(name=name, function=function)
        return self.write(f"flows/{project}/{function}/flow.py", code)

    def build(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        return build("--root", str(self.root), *options, **env)


def build(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run build.py in a new process, forked from one that has imported Prefect.

    An empty value unsets a variable.
    """
    environment = {name: value for name, value in (os.environ | env).items() if value}
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start_fork_server().Process(target=_main, args=(options, environment, out, err))
        process.start()
        process.join(600)
        code = process.exitcode
        process.kill()
        assert code is not None, "build.py took over 600 s"
        return subprocess.CompletedProcess(options, code, out.read_text(), err.read_text())


def _main(options: tuple[str, ...], env: dict[str, str], out: Path, err: Path) -> None:
    """Run build.py in this process."""
    os.environ.clear()
    os.environ.update(env)
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    sys.argv = [str(BUILD), *options]
    runpy.run_path(str(BUILD), run_name="__main__")


def rows(table: str) -> dict[str, list[str]]:
    """Return the cells of build.py's table by its first column."""
    lines = [line.strip("| ").split("|") for line in table.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {line[0]: line[1:] for line in cells[1:]}
