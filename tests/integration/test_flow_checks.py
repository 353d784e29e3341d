"""scripts/prefect_build: finding flows, bundling what they need, and saying what is broken."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.schedules import CronSchedule

import looking
from buckets import code_name
from build import app
from bundles import bundle
from deployments import Defaults, DeploymentFile, wanted_deployments
from looking import Look
from nyc_taxi.errors import InvalidInputError
from plan import Candidate, candidates, find_namesakes
from projects import FlowFile, find_flows
from register import deployment
from tests.support.project_factory import FLOW, Checkout, build

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
    "bad_interval": ("schedule: {interval: -1}", "schedule: Input should be greater than 0"),
    "bad_date": ("parameters: {day: 2021-02-30}", "deployment.yaml is no YAML: day is out of"),
    "bad_name": ("name: a/b", "deployment.yaml: name: String should match pattern"),
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


def test_a_flow_of_the_same_name_in_a_file_that_was_not_asked_for(checkout: Checkout) -> None:
    """Such a file is only read, and of several flows in it those count that have a deployment."""
    checkout.flow("air", "trips")
    checkout.flow("air", "parts")
    several = FLOW.format(name="trips", function="whole") + FLOW.format(name="parts", function="of")
    checkout.flow("taxi", "all", "raise SystemExit\n" + several)
    checkout.write("flows/taxi/all/deployment.yaml", "flow: whole")
    checkout.flow("taxi", "half", "def (:")
    found = list(candidates(find_flows(checkout.root, ["air"], []), Defaults(), bundled=True))
    find_namesakes(found)
    assert {one.file.folder.name: one.findings for one in found} == {
        "parts": [],
        "trips": [
            "flows/taxi/all/flow.py has a flow of the name trips as well; "
            "rename one of them: @flow(name=...)"
        ],
    }


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Candidate]:
    """One checkout with everything that can be wrong, looked at once."""
    checkout = Checkout(tmp_path_factory.mktemp("broken"))
    for name, (code, _) in BROKEN.items():
        checkout.flow("code", name, code)
    for name, (settings, _) in SETTINGS.items():
        checkout.flow("settings", name)
        checkout.write(f"flows/settings/{name}/deployment.yaml", settings)
    for name in ("config", "old_copy", "no_init", "yml", "manifest", "fine"):
        checkout.flow("files", name)
    alone = "import sys\nassert 'bundles' not in sys.modules\n"  # of this process
    checkout.flow("files", "fine", alone + FLOW.format(name="fine", function="fine"))
    checkout.write("flows/code/common.py", "x = 1")
    checkout.write("flows/files/config/config/column_types.yaml", "zones: {LocationID: [")
    checkout.write("flows/files/old_copy/flow_2025_12_23.py", GOOD)
    checkout.write("flows/files/yml/deployment.yml", "name: x")
    checkout.write("flows/files/manifest/manifest.json", "{}")
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
        "config": "config/column_types.yaml, line 1: invalid YAML: ",
        "yml": "deployment.yml is not read; rename it: deployment.yaml",
        "manifest": "manifest.json is the name of what build.py puts beside the code; rename",
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


def test_an_import_that_hangs(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 2)
    checkout.flow("air", "slow", "import time\ntime.sleep(60)")
    assert look_at(checkout)["slow"].findings == [
        "its import took longer than 2 s; do its work inside the flow"
    ]


def test_a_flow_is_named_as_its_file_names_it(checkout: Checkout) -> None:
    """An entrypoint is a name of the file, whatever the function inside is called."""
    checkout.flow("a", "wrapped", "from prefect import flow\ndef work(): pass\nrun = flow(work)")
    checkout.flow("a", "twice", FLOW.format(name="twice", function="twice") + "main = twice")
    found = look_at(checkout)
    assert {name: (list(one.looks), one.findings) for name, one in found.items()} == {
        "wrapped": (["run"], []),
        "twice": (["twice"], []),
    }


def test_names_of_all_languages_are_keys_of_their_own() -> None:
    names = ["Größe", "Grüße", "日本", "東京", "Ingest Data", "..", "a"]
    keys = ["größe", "grüße", "日本", "東京", "ingest-data", "-", "a"]
    assert [code_name(name) for name in names] == keys


def test_an_interval_is_the_same_each_time(checkout: Checkout) -> None:
    flow = FlowFile(checkout.root, checkout.flow("air", "quality"))
    checkout.write("flows/air/quality/deployment.yaml", "schedule: {interval: 3600}")
    assert wanted_deployments(flow, Defaults()) == wanted_deployments(flow, Defaults())


POOL = WorkPool(
    name="p",
    type="process",
    base_job_template={"variables": {"properties": {}}},
    default_queue_id=UUID(int=0),
)


def test_parameters_are_json(checkout: Checkout) -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
    seen = Look("quality", "quality", None, schema)
    flow = FlowFile(checkout.root, checkout.flow("air", "quality"))
    checkout.write("flows/air/quality/deployment.yaml", "parameters: {day: 2021-02-03}")
    (settings,) = wanted_deployments(flow, Defaults())
    assert deployment(seen, settings, POOL, "flow.py").fields["parameters"] == {"day": "2021-02-03"}
    wrong = settings.model_copy(update={"parameters": {"day": 3}})
    with pytest.raises(
        InvalidInputError, match=r"its deployment default has wrong parameters: .*'day'"
    ):
        deployment(seen, wrong, POOL, "flow.py")


@pytest.mark.parametrize(
    ("said", "meant"),
    {
        "": DeploymentFile(name="n"),
        ", schedules: [{cron: 0 0 * * *}]": DeploymentFile(
            name="n", schedule=CronSchedule(cron="0 0 * * *")
        ),
        ", schedules: [], work_pool: , parameters: ": DeploymentFile(name="n"),
        ", schedules: [{cron: 0 0 * * *}, {cron: 0 1 * * *}]": "schedule: ",
        ", work_pool: {name: p, job_variables: {}}": "work_pool: ",
        ", concurrency_limit: 1": "concurrency_limit: ",
    }.items(),
)
def test_what_prefect_yaml_says(said: str, meant: DeploymentFile | str, checkout: Checkout) -> None:
    """What would be lost is refused."""
    path = checkout.write("flows/course.py", FLOW.format(name="course", function="course"))
    entry = f"{{entrypoint: flows/course.py:course, name: n{said}}}"
    checkout.write("prefect.yaml", f"deployments:\n- {entry}\n- {{name: of no file}}")
    flow = FlowFile(checkout.root, path)
    if isinstance(meant, str):
        with pytest.raises(InvalidInputError, match=f"^prefect.yaml: {meant}"):
            wanted_deployments(flow, Defaults())
    else:
        wanted = meant.model_copy(update={"flow": "course", "work_pool": "process-pool"})
        assert wanted_deployments(flow, Defaults()) == [wanted]


@pytest.mark.parametrize("hours", ["nan", "inf", "-1", "1e99"])
def test_hours_are_hours(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["--prune-after", hours])
    assert "for --prune-after" in capsys.readouterr().err


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
    with pytest.raises(InvalidInputError, match="no flow lies under"):
        find_flows(checkout.root, [], [])
    checkout.flow("taxi", "trips")
    with pytest.raises(InvalidInputError, match=r"no project taxes in .*; there is taxi$"):
        find_flows(checkout.root, ["taxes"], [])
    with pytest.raises(
        InvalidInputError, match=r"nothing\.py is no flow; there is flows/taxi/trips/flow"
    ):
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
    secret = "a: -----BEGIN RSA PRIVATE KEY-----"  # pragma: allowlist secret
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


def test_a_bundle_with_the_flows_own_full_name(checkout: Checkout) -> None:
    """And the standard library's modules are never a project's."""
    code = "import statistics\nfrom statistics import mean\nfrom taxi.trips.tasks import x\n"
    path = checkout.flow("taxi", "trips", code)
    checkout.write("flows/taxi/trips/tasks.py", "from .units import x")
    checkout.write("flows/taxi/trips/units.py")
    checkout.flow("statistics", "counts")
    held = {str(name) for name in bundle(FlowFile(checkout.root, path)).files}
    assert "taxi/trips/units.py" in held
    assert "statistics/__init__.py" not in held


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


def test_verify_sees_what_only_the_checkout_has(checkout: Checkout) -> None:
    """nyc_taxi is installed where this runs, and so can be imported, but not on a bare worker."""
    checkout.flow("taxi", "trips", "import nyc_taxi\n" + FLOW.format(name="t", function="t"))
    checked = checkout.build("--verify", PREFECT_API_URL="")
    assert checked.returncode == 1
    assert "flows/taxi/trips/flow.py: ModuleNotFoundError: No module named 'nyc_taxi'" in (
        checked.stdout
    )
    assert checked.stdout.endswith("1 checked, 1 broken\n")


@pytest.mark.parametrize(
    ("options", "said"),
    {
        ("--env", "stage"): 'Choose from: "dev", "prod"',
        ("--bucket", "x"): "--bucket",
        ("--prune-after", "-1"): "--prune-after",
    }.items(),
)
def test_options_that_cannot_be_are_one_line(options: tuple[str, ...], said: str) -> None:
    built = build(*options)
    assert built.returncode == 1
    assert built.stderr.startswith("error: ")
    assert said in built.stderr
    assert built.stderr.count("\n") == 1
