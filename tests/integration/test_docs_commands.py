"""The commands of the documentation run, and print what the pages show."""

import re
from pathlib import Path

import pytest

from docs.tools.pages import RECORDED, ROOT, pages
from docs.tools.recorder import comparable, project, recorded, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("page", [path for path in pages() if RECORDED.search(path.read_text())])
def test_recorded_commands_print_what_the_page_shows(page: Path) -> None:
    """Record them again with `make docs-output`."""
    text = page.read_text()
    shown = "".join(RECORDED.findall(text))
    now = "".join(RECORDED.findall(recorded(text)))
    assert comparable(now) == comparable(shown)


def test_demo_prints_what_the_readme_shows() -> None:
    readme = (ROOT / "README.md").read_text()
    [block] = re.findall(r"```console\n\$ make demo\n(.*?)```", readme, re.DOTALL)
    ours = (line for line in block.splitlines() if not line.startswith((".", "python3 -m")))
    lines = [line for line in ours if line]
    with project() as (folder, env):
        output = run("make demo", folder, env).splitlines()
    assert lines == [line for line in output if line in lines]
