"""scripts/prefect_build: finding flows, bundling what they need, and saying what is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import FLOW, Checkout, build

from bundles import bundle
from deployments import Defaults
from nyc_taxi.errors import BadInput
from plan import Candidate, candidates, find_namesakes
from projects import FlowFile, find_flows

GOOD = FLOW.format(name="good", function="good")

BROKEN = {
    "syntax": ("def (:", "SyntaxError"),
    "exits": ("raise SystemExit('no')", "its import failed: SystemExit: no"),
    "dies": ("import os\nos._exit(3)", "its import ended the process (exit code 3)"),
    "missing_package": ("import no_such_package", "add it to requirements.in"),
    "no_flow": ("def f(): pass", "no function of flow.py is a flow; decorate one with @flow"),
    "beyond": ("from ..common import x", "only `from .name` of the flow's own folder works"),
    "several": (
        FLOW.format(name="one", function="one") + FLOW.format(name="two", function="two"),
        "it holds the flows one, two; say which in deployment.yaml: flow: ...",
    ),
}
SETTINGS = {
    "unknown_key": (
        "nmae: x",
        "deployment.yaml: nmae: Extra inputs are not permitted; it may hold",
    ),
    "bad_cron": ("schedule: {cron: every day}", "schedule"),
    "no_yaml": ("name: [", "deployment.yaml is no YAML"),
    "no_such_flow": ("flow: other", "other is no flow of flow.py, which has"),
    "twins": ("- name: a\n- name: a", "two deployments are named a; rename one"),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def look_at(checkout: Checkout) -> dict[str, Candidate]:
    files = find_flows(checkout.root, [], [])
    found = list(candidates(files, Defaults(), bundled=True))
    find_namesakes(found)
    return {one.file.folder.name: one for one in found}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Candidate]:
    """One checkout with everything that can be wrong, looked at once."""
    checkout = Checkout(tmp_path_factory.mktemp("broken"))
    for name, (code, _) in BROKEN.items():
        checkout.flow("code", name, code)
    for name, (settings, _) in SETTINGS.items():
        checkout.flow("settings", name)
        checkout.write(f"flows/settings/{name}/deployment.yaml", settings)
    for name in ("config", "old_copy", "no_init", "fine"):
        checkout.flow("files", name)
    checkout.write("flows/code/common.py", "x = 1")
    checkout.write("flows/files/config/config/column_types.yaml", "zones: {LocationID: [")
    checkout.write("flows/files/old_copy/flow_2025_12_23.py", GOOD)
    (checkout.root / "flows/files/no_init/__init__.py").unlink()
    checkout.flow("first", "same", FLOW.format(name="same-name", function="same"))
    checkout.flow("second", "same_too", FLOW.format(name="Same name", function="same"))
    return look_at(checkout)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_code_is_named_with_its_reason(name: str, broken: dict[str, Candidate]) -> None:
    (finding,) = broken[name].findings
    assert BROKEN[name][1] in finding


@pytest.mark.parametrize("name", SETTINGS)
def test_broken_settings_are_named(name: str, broken: dict[str, Candidate]) -> None:
    (finding,) = broken[name].findings
    assert SETTINGS[name][1] in finding


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "config": "config/column_types.yaml, line 1 is no YAML that can be meant: ",
        "old_copy": "flow_2025_12_23.py is an old copy of a flow; delete it",
        "no_init": "the package flows/files/no_init has no __init__.py; "
        "run: touch flows/files/no_init/__init__.py",
        "same": "flows/second/same_too/flow.py has a flow of the name same-name as well",
        "same_too": "flows/first/same/flow.py has a flow of the name Same name as well",
    }.items(),
)
def test_what_lies_around_is_named(name: str, said: str, broken: dict[str, Candidate]) -> None:
    assert broken[name].findings[0].startswith(said)


def test_a_good_flow_between_broken_ones(broken: dict[str, Candidate]) -> None:
    fine = broken["fine"]
    assert fine.findings == []
    assert fine.looks["fine"].name == "fine"
    assert fine.looks["fine"].schema["properties"]["number"]["type"] == "integer"


def test_flows_are_found_by_folder(checkout: Checkout) -> None:
    checkout.flow("taxi", "trips")
    checkout.flow("taxi", "zones")
    checkout.flow("air", "quality")
    checkout.write("flows/course.py", FLOW.format(name="course", function="course"))
    checkout.write("flows/helper.py", "from course import course")
    checkout.write("flows/shared/months.py")
    found = find_flows(checkout.root, [], [])
    assert [str(flow) for flow in found] == [
        "flows/air/quality/flow.py",
        "flows/course.py",
        "flows/taxi/trips/flow.py",
        "flows/taxi/zones/flow.py",
    ]
    assert [flow.project for flow in found] == ["air", None, "taxi", "taxi"]
    assert find_flows(checkout.root, ["taxi"], []) == found[2:]
    some = [Path("flows/air/quality"), checkout.root / "flows" / "course.py"]
    assert find_flows(checkout.root, [], some) == found[:2]


def test_what_is_no_project_and_no_flow(checkout: Checkout) -> None:
    with pytest.raises(BadInput, match="no flow lies under"):
        find_flows(checkout.root, [], [])
    checkout.flow("taxi", "trips")
    with pytest.raises(BadInput, match=r"no project taxes in .*; there is taxi$"):
        find_flows(checkout.root, ["taxes"], [])
    with pytest.raises(BadInput, match=r"nothing\.py is no flow; there is flows/taxi/trips/flow"):
        find_flows(checkout.root, [], [Path("nothing.py")])


def test_a_bundle_is_all_that_the_flow_imports_and_no_more(checkout: Checkout) -> None:
    flow = """
        from prefect import flow
        from .tasks import work
        from taxi.common.units import miles

        @flow
        def trips():
            from shared.late import when
            return work()
        """
    path = checkout.flow("taxi", "trips", flow)
    checkout.write("flows/taxi/trips/tasks.py", "from .sub import deep")
    checkout.write("flows/taxi/trips/sub/deep.py")
    checkout.write("flows/taxi/trips/config/column_types.yaml", "{}")
    checkout.write("flows/taxi/common/units.py", "from .lengths import miles\nimport single")
    checkout.write("flows/taxi/common/lengths.py", "miles = 1")
    checkout.write("flows/taxi/common/unused.py")
    checkout.flow("taxi", "other")
    checkout.write("flows/single.py")
    checkout.write("flows/shared/late.py", "when = 0")
    checkout.write("flows/shared/data/rates.csv", "1,2")
    secret = "a: -----BEGIN RSA PRIVATE KEY-----"
    for name, text in {
        ".env": "A=1",
        "key.json": secret,
        "aws-credentials.json": "{}",
        "tests.py": "",
        "README.md": "",
        "deployment.yaml": "name: x",
        ".cache/x.py": "",
        "__pycache__/y.pyc": "",
    }.items():
        target = path.parent / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
    held = bundle(FlowFile(checkout.root, path))
    assert sorted(map(str, held.files)) == [
        "__init__.py",
        "config/column_types.yaml",
        "flow.py",
        "shared/__init__.py",
        "shared/data/rates.csv",
        "shared/late.py",
        "single.py",
        "sub/__init__.py",
        "sub/deep.py",
        "tasks.py",
        "taxi/__init__.py",
        "taxi/common/__init__.py",
        "taxi/common/lengths.py",
        "taxi/common/units.py",
    ]
    assert {path.name for path in held.secrets} == {".env", "key.json", "aws-credentials.json"}


def test_the_version_is_that_of_the_files(checkout: Checkout) -> None:
    path = checkout.flow("taxi", "trips")
    flow = FlowFile(checkout.root, path)
    first = bundle(flow).version
    assert len(first) == 16
    assert bundle(flow).version == first
    helper = checkout.write("flows/taxi/trips/utils.py", "x = 1")
    second = bundle(flow).version
    assert second != first
    helper.rename(helper.with_name("tools.py"))
    assert bundle(flow).version not in (first, second)
    helper.with_name("tools.py").unlink()
    assert bundle(flow).version == first


def test_verify_on_this_repository() -> None:
    checked = build("--verify", PREFECT_API_URL="")
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.endswith(" checked, none broken\n")


def test_verify_sees_what_only_the_checkout_has(checkout: Checkout) -> None:
    """nyc_taxi is installed where this runs, and so can be imported, but not on a bare worker."""
    checkout.flow("taxi", "trips", "import nyc_taxi\n" + FLOW.format(name="t", function="t"))
    checked = checkout.build("--verify", PREFECT_API_URL="")
    assert checked.returncode == 1
    assert "flows/taxi/trips/flow.py: ModuleNotFoundError: No module named 'nyc_taxi'" in (
        checked.stdout
    )
    assert checked.stdout.endswith("1 checked, 1 broken\n")
