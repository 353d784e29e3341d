"""scripts/prefect_build: broken flows are reported, and do not disturb the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.prefect_build import introspection
from scripts.prefect_build.deployments import Overrides
from scripts.prefect_build.plan import Candidate, find_duplicate_names, load_candidates
from scripts.prefect_build.projects import find_flows
from tests.support.project_factory import FLOW, Checkout

GOOD = FLOW.format(name="good", function="good")
BROKEN = {
    "syntax": ("def (:", "SyntaxError"),
    "exits": ("raise SystemExit('no')", "importing it failed: SystemExit: no"),
    "dies": ("import os\nos._exit(3)", "importing it ended the process (exit code 3)"),
    "missing_package": ("import no_such_package", "add it to requirements.in"),
    "no_flow": ("def f(): pass", "flow.py defines no flow; decorate a function with @flow"),
    "beyond": ("from ..common import x", "`from .name` works only in the flow's own folder"),
    "several": (
        FLOW.format(name="one", function="one") + FLOW.format(name="two", function="two"),
        "it defines the flows one, two; choose one in deployment.yaml: flow: ...",
    ),
}
SETTINGS = {
    "unknown_key": (
        "nmae: x",
        "deployment.yaml: nmae: Extra inputs are not permitted; allowed keys: flow, name",
    ),
    "bad_cron": ("schedule: {cron: every day}", "schedule"),
    "bad_interval": ("schedule: {interval: -1}", "schedule: Input should be greater than 0"),
    "bad_date": (
        "parameters: {day: 2021-02-30}",
        "deployment.yaml is not valid YAML: day is out of",
    ),
    "bad_name": ("name: a/b", "deployment.yaml: name: String should match pattern"),
    "invalid_yaml": ("name: [", "deployment.yaml is not valid YAML"),
    "no_such_flow": ("flow: other", "other is not a flow of flow.py, which defines"),
    "same_name_twice": ("- name: a\n- name: a", "two deployments are named a; rename one"),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def load(checkout: Checkout, *projects: str) -> dict[str, Candidate]:
    """Return the candidates by the name of their folder."""
    files = find_flows(checkout.root, list(projects), [])
    candidates = list(load_candidates(files, Overrides(), bundled=True))
    find_duplicate_names(candidates)
    return {one.file.folder.name: one for one in candidates}


def test_duplicate_names_in_files_that_were_not_requested_are_found(checkout: Checkout) -> None:
    """Such a file is parsed, not imported; of its flows, those with a deployment count."""
    checkout.flow("air", "trips")
    checkout.flow("air", "parts")
    several = FLOW.format(name="trips", function="whole") + FLOW.format(name="parts", function="of")
    checkout.flow("taxi", "all", "raise SystemExit\n" + several)
    checkout.write("flows/taxi/all/deployment.yaml", "flow: whole")
    checkout.flow("taxi", "half", "def (:")
    assert {name: one.findings for name, one in load(checkout, "air").items()} == {
        "parts": [],
        "trips": [
            "the flow name trips is also used in flows/taxi/all/flow.py; "
            "rename one of the flows: @flow(name=...)"
        ],
    }


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Candidate]:
    """One checkout with every kind of broken flow, loaded once."""
    checkout = Checkout(tmp_path_factory.mktemp("broken"))
    for name, (code, _) in BROKEN.items():
        checkout.flow("code", name, code)
    for name, (settings, _) in SETTINGS.items():
        checkout.flow("settings", name)
        checkout.write(f"flows/settings/{name}/deployment.yaml", settings)
    for name in ("config", "old_copy", "no_init", "yml", "manifest", "fine"):
        checkout.flow("files", name)
    isolated = "import sys\nassert not any(name.startswith('scripts') for name in sys.modules)\n"
    checkout.flow("files", "fine", isolated + FLOW.format(name="fine", function="fine"))
    checkout.write("flows/code/common.py", "x = 1")
    checkout.write("flows/files/config/config/column_types.yaml", "zones: {LocationID: [")
    checkout.write("flows/files/old_copy/flow_2025_12_23.py", GOOD)
    checkout.write("flows/files/yml/deployment.yml", "name: x")
    checkout.write("flows/files/manifest/manifest.json", "{}")
    (checkout.root / "flows/files/no_init/__init__.py").unlink()
    checkout.flow("first", "same", FLOW.format(name="same-name", function="same"))
    checkout.flow("second", "same_too", FLOW.format(name="Same name", function="same"))
    return load(checkout)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_code_is_reported_with_its_reason(name: str, broken: dict[str, Candidate]) -> None:
    (finding,) = broken[name].findings
    assert BROKEN[name][1] in finding


@pytest.mark.parametrize("name", SETTINGS)
def test_invalid_settings_are_reported(name: str, broken: dict[str, Candidate]) -> None:
    (finding,) = broken[name].findings
    assert SETTINGS[name][1] in finding


@pytest.mark.parametrize(
    ("name", "finding"),
    {
        "config": "config/column_types.yaml, line 1: invalid YAML: ",
        "yml": "deployment.yml is ignored; rename it to deployment.yaml",
        "manifest": "manifest.json is reserved for the list of files that build.py writes; rename",
        "old_copy": "flow_2025_12_23.py is an old copy of a flow; delete it",
        "no_init": "the package flows/files/no_init has no __init__.py; "
        "run: touch flows/files/no_init/__init__.py",
        "same": "the flow name same-name is also used in flows/second/same_too/flow.py",
        "same_too": "the flow name Same name is also used in flows/first/same/flow.py",
    }.items(),
)
def test_misplaced_files_are_reported(
    name: str, finding: str, broken: dict[str, Candidate]
) -> None:
    assert broken[name].findings[0].startswith(finding)


def test_a_good_flow_among_broken_ones_is_loaded_in_isolation(broken: dict[str, Candidate]) -> None:
    fine = broken["fine"]
    assert fine.findings == []
    assert fine.flows["fine"].name == "fine"
    assert fine.flows["fine"].schema["properties"]["number"]["type"] == "integer"


def test_an_import_that_hangs_is_reported(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "IMPORT_TIMEOUT", 2)
    checkout.flow("air", "slow", "import time\ntime.sleep(60)")
    assert load(checkout)["slow"].findings == [
        "importing it took over 2 s; move the work into the flow"
    ]


def test_a_flow_is_listed_under_its_name_in_the_file(checkout: Checkout) -> None:
    """An entrypoint contains that name, whatever the decorated function is called."""
    checkout.flow("a", "wrapped", "from prefect import flow\ndef work(): pass\nrun = flow(work)")
    checkout.flow("a", "twice", FLOW.format(name="twice", function="twice") + "main = twice")
    candidates = load(checkout)
    assert {name: (list(one.flows), one.findings) for name, one in candidates.items()} == {
        "wrapped": (["run"], []),
        "twice": (["twice"], []),
    }


@pytest.mark.few(1)
@pytest.mark.parametrize("module", ["nyc_taxi", "scripts"])
def test_verify_reports_imports_of_the_checkouts_own_modules(
    checkout: Checkout, module: str
) -> None:
    """They can be imported where this test runs, but not on a worker without a checkout."""
    checkout.flow("taxi", "trips", f"import {module}\n" + FLOW.format(name="t", function="t"))
    checked = checkout.build("--verify", PREFECT_API_URL="")
    assert checked.returncode == 1
    finding = f"flows/taxi/trips/flow.py: ModuleNotFoundError: No module named '{module}'"
    assert finding in checked.stdout
    assert checked.stdout.endswith("1 checked, 1 broken\n")
