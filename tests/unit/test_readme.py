"""What the README tells people to type is there to be typed."""

import re

import pytest

from tests.support.processes import ROOT

README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
READ_BY_SCRIPTS = {
    name
    for folder in ("flows", "blocks", "scripts")
    for path in (ROOT / folder).rglob("*.py")
    for name in re.findall(r'"NYC_TAXI_([A-Z0-9_]+)"', path.read_text())
}
READ_BY_TESTS = {
    name
    for path in (ROOT / "conftest.py", *(ROOT / "tests" / "support").glob("*.py"))
    for name in re.findall(r"NYC_TAXI_([A-Z0-9_]+)", path.read_text())
}
SETTINGS = (ROOT / "flows" / "nyc_taxi" / "settings.py").read_text()


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"^(?:\$ | {4})make ([a-z-]+)", README, re.MULTILINE)))
)
def test_make_has_the_target(target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"\b((?:flows|blocks|scripts|docs|docker)/[\w/]+\.\w+)", README)))
)
def test_the_file_is_there(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize(
    "setting",
    sorted(
        name
        for name in set(re.findall(r"NYC_TAXI_([A-Z0-9_]+)", README))
        if not (name.startswith("TEST_") and name in READ_BY_TESTS)
    ),
)
def test_the_setting_is_read_and_explained(setting: str) -> None:
    field = re.search(rf"^    {setting.lower()}:", SETTINGS, re.MULTILINE)
    assert field or setting in READ_BY_SCRIPTS
    assert f"NYC_TAXI_{setting}=" in (ROOT / ".env.example").read_text()


def test_every_script_is_told_of() -> None:
    scripts = {path.name for folder in ("flows", "blocks") for path in (ROOT / folder).glob("*.py")}
    assert not {name for name in scripts if name not in README}
