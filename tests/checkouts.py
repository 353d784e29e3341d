"""Checkouts with flows of their own, for the tests of scripts/prefect_build."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "scripts" / "prefect_build" / "build.py"

FLOW = '''
from prefect import flow

@flow(name="{name}")
def {function}(number: int = 1) -> int:
    """A flow of the tests."""
    return number
'''


@dataclass
class Checkout:
    root: Path

    def write(self, place: str, text: str = "") -> Path:
        """A file, with the folders and the __init__.py files it needs below flows/."""
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
    """Run build.py. An empty value takes a variable away."""
    given = {name: value for name, value in (os.environ | env).items() if value}
    return subprocess.run(
        [sys.executable, str(BUILD), *options],
        env=given,
        capture_output=True,
        text=True,
        timeout=600,
    )


def rows(table: str) -> dict[str, list[str]]:
    """The cells of build.py's table by its first column."""
    found = [line.strip("| ").split("|") for line in table.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line] for line in found]
    return {line[0]: line[1:] for line in cells[1:]}
