"""The documentation says what the code does: settings, options, parameters, errors, commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.tools import commands
from docs.tools.generators import generate
from docs.tools.messages import classes
from docs.tools.pages import ROOT, generated, pages
from nyc_taxi.settings import Settings

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in pages()}
EVERY_PAGE = "\n".join(TEXTS.values())
SCRIPTS = TEXTS["docs/scripts.md"]
CONFIGURATION = TEXTS["docs/configuration.md"]
EXAMPLE = (ROOT / ".env.example").read_text()
CODE = {
    path: path.read_text()
    for folder in ("flows", "blocks", "scripts", "local_services", "docker")
    for path in (ROOT / folder).rglob("*.py")
} | {
    path: path.read_text()
    for path in (
        ROOT / "docker-compose.yml",
        ROOT / "conftest.py",
        ROOT / "tests" / "support" / "services.py",
    )
}
DOCUMENTED = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", CONFIGURATION))


@pytest.mark.parametrize("page", [name for name, text in TEXTS.items() if "<!-- gen" in text])
def test_generated_blocks_are_current(page: str) -> None:
    """Renew them with `make docs-output`."""
    if page == "docs/scripts.md" and sys.version_info >= (3, 13):
        pytest.skip("argparse formats help differently since Python 3.13")
    assert generated(TEXTS[page], generate) == TEXTS[page]


@pytest.mark.parametrize("command", commands.scripts())
def test_help_of_every_script_is_documented(command: str) -> None:
    assert f"$ python {command} --help" in SCRIPTS


def test_every_make_target_is_described() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
    assert targets == set(commands.targets())


def test_every_setting_is_documented() -> None:
    fields = {
        str(field.validation_alias or f"NYC_TAXI_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
    read = {
        name
        for text in CODE.values()
        for name in re.findall(r"\b((?:NYC_TAXI|REGISTRY)_[A-Z0-9_]*[A-Z0-9])\b(?!=\{)", text)
        if re.search(rf'["$]\{{?{name}[":}}]', text)
    }
    example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))
    assert fields | read | example <= DOCUMENTED


@pytest.mark.parametrize("setting", sorted(DOCUMENTED - {"UTC"}))
def test_documented_setting_is_read(setting: str) -> None:
    short = setting.removeprefix("NYC_TAXI_").lower()
    tail = setting.partition("_ECS_")[2] or setting.partition("_TEST_")[2] or setting
    support = [path.read_text() for path in (ROOT / "tests" / "support").glob("*.py")]
    known = [*CODE.values(), *support, EXAMPLE]
    assert short in Settings.model_fields or any(setting in t or f'"{tail}"' in t for t in known)


@pytest.mark.parametrize("name", ["source_url", "lake", "warehouse", "data_dir", "memory"])
def test_documented_default_is_the_one_in_the_code(name: str) -> None:
    row = re.search(rf"^\| `NYC_TAXI_{name.upper()}` \| `(.+?)` \|", CONFIGURATION, re.MULTILINE)
    assert row
    assert row[1] == str(Settings.model_fields[name].default)


def test_every_error_class_has_cause_and_fix() -> None:
    page = TEXTS["docs/troubleshooting.md"]
    assert set(re.findall(r"^##+ ([A-Z]\w+)$", page, re.MULTILINE)) - {"Messages"} == classes()
    assert set(re.findall(r"^    [│├└─ ]*([A-Z]\w+)", page, re.MULTILINE)) == classes()


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_a_file_and_a_heading(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", TEXTS[page]):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert anchor in [_anchor(heading) for heading in headings]


def _anchor(heading: str) -> str:
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())


@pytest.mark.parametrize(
    "target",
    sorted(set(re.findall(r"(?:^\$ | {4}|`)make ([a-z][a-z-]+)", EVERY_PAGE, re.MULTILINE))),
)
def test_make_target_exists(target: str) -> None:
    assert target in commands.targets()


@pytest.mark.parametrize(
    "path",
    sorted(
        set(
            re.findall(
                r"(?<![\w/.-])((?:flows|blocks|scripts|docs|docker|bench|tests|local_services"
                r"|synthetic_tlc|\.github|\.devcontainer)/[\w/.-]*\w/?)(?![\w<*{-])",
                re.sub(r"https?://\S+", "", EVERY_PAGE),
            )
        )
    ),
)
def test_path_exists(path: str) -> None:
    assert (ROOT / path).exists() or path == "docs/coverage.txt"  # make coverage writes it


def test_options_of_scripts_exist() -> None:
    """Every `script.py --option` on a page is an option of that script."""
    for script, options in re.findall(r"([\w/]+\.py)((?: +[^`\n|&]*)?)", EVERY_PAGE):
        found = [name for name in commands.scripts() if name.endswith(f"/{Path(script).name}")]
        for flow in (ROOT / "flows").glob(f"*/{Path(script).parent.name}/flow.py"):
            found.append(f"-m {flow.parent.parent.name}.{flow.parent.name}.flow")
        for option in re.findall(r"(?<!\S)(--[a-z][a-z0-9-]*)", options):
            assert any(option in commands.help_text(name) for name in found), (script, option)


def test_readme_has_at_most_150_lines() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 150


def test_site_builds_strictly_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    built = list(tmp_path.rglob("*.html"))
    assert len(built) >= len(list((ROOT / "docs").rglob("*.md")))
    loads = (
        r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+(?:stylesheet|preconnect)[^>]+//'
    )
    assert not [page for page in built if re.search(loads, page.read_text())]
