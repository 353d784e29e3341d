"""scripts/prefect_build: finding flows, bundling their files and reporting broken ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.schedules import CronSchedule

from nyc_taxi.errors import InvalidInputError
from scripts.prefect_build import introspection
from scripts.prefect_build.bundles import build_bundle
from scripts.prefect_build.cli import app
from scripts.prefect_build.code_store import flow_slug
from scripts.prefect_build.deployments import DeploymentFile, Overrides, read_deployments
from scripts.prefect_build.desired import build_deployment
from scripts.prefect_build.introspection import FlowInfo
from scripts.prefect_build.plan import Candidate, find_duplicate_names, load_candidates
from scripts.prefect_build.projects import FlowFile, find_flows
from tests.support.project_factory import FLOW, ROOT, Checkout, build

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


PRELOADED_FROM_ELSEWHERE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
if __name__ == "__main__":
    from scripts.prefect_build import introspection
    introspection.PRELOADED[:] = [introspection.__name__]  # not Prefect, which takes a second
    check = f"import sys; sys.exit({{introspection.__name__!r}} not in sys.modules)"
    process = introspection.start_fork_server().Process(target=exec, args=(check,))
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.skipif(os.name != "posix", reason="no fork")
def test_the_fork_server_preloads_introspection_from_any_folder(tmp_path: Path) -> None:
    """Python 3.11's fork server ignores sys.path, and silently skips modules it does not find."""
    script = tmp_path / "script.py"
    script.write_text(PRELOADED_FROM_ELSEWHERE)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, timeout=60)
    assert done.returncode == 0


def test_the_fork_server_starts_with_a_long_temporary_folder(tmp_path: Path) -> None:
    """Its socket is in the folder, and a socket's path is limited to about 100 bytes."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    start = "from scripts.prefect_build import introspection as i; i.PRELOADED.clear(); "
    subprocess.run(
        [sys.executable, "-c", start + "i.start_fork_server()"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": f"{ROOT}:{ROOT / 'flows'}"},
        check=True,
    )


def test_a_flow_is_listed_under_its_name_in_the_file(checkout: Checkout) -> None:
    """An entrypoint contains that name, whatever the decorated function is called."""
    checkout.flow("a", "wrapped", "from prefect import flow\ndef work(): pass\nrun = flow(work)")
    checkout.flow("a", "twice", FLOW.format(name="twice", function="twice") + "main = twice")
    candidates = load(checkout)
    assert {name: (list(one.flows), one.findings) for name, one in candidates.items()} == {
        "wrapped": (["run"], []),
        "twice": (["twice"], []),
    }


def test_flow_slugs_keep_letters_of_all_languages() -> None:
    names = ["Größe", "Grüße", "日本", "東京", "Ingest Data", "..", "a"]
    slugs = ["größe", "grüße", "日本", "東京", "ingest-data", "-", "a"]
    assert [flow_slug(name) for name in names] == slugs


def test_an_interval_has_a_fixed_start(checkout: Checkout) -> None:
    flow = FlowFile(checkout.root, checkout.flow("air", "quality"))
    checkout.write("flows/air/quality/deployment.yaml", "schedule: {interval: 3600}")
    assert read_deployments(flow, Overrides()) == read_deployments(flow, Overrides())


POOL = WorkPool(
    name="p",
    type="process",
    base_job_template={"variables": {"properties": {}}},
    default_queue_id=UUID(int=0),
)


def test_deployment_parameters_are_json(checkout: Checkout) -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
    info = FlowInfo("quality", "quality", None, schema)
    flow = FlowFile(checkout.root, checkout.flow("air", "quality"))
    checkout.write("flows/air/quality/deployment.yaml", "parameters: {day: 2021-02-03}")
    (settings,) = read_deployments(flow, Overrides())
    fields = build_deployment(info, settings, POOL, "flow.py").fields
    assert fields["parameters"] == {"day": "2021-02-03"}
    wrong = settings.model_copy(update={"parameters": {"day": 3}})
    with pytest.raises(
        InvalidInputError, match=r"deployment default has invalid parameters: .*'day'"
    ):
        build_deployment(info, wrong, POOL, "flow.py")


@pytest.mark.parametrize(
    ("keys", "expected"),
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
def test_prefect_yaml_is_read_and_unsupported_keys_are_rejected(
    keys: str, expected: DeploymentFile | str, checkout: Checkout
) -> None:
    path = checkout.write("flows/course.py", FLOW.format(name="course", function="course"))
    entry = f"{{entrypoint: flows/course.py:course, name: n{keys}}}"
    checkout.write("prefect.yaml", f"deployments:\n- {entry}\n- {{name: of no file}}")
    flow = FlowFile(checkout.root, path)
    if isinstance(expected, str):
        with pytest.raises(InvalidInputError, match=f"^prefect.yaml: {expected}"):
            read_deployments(flow, Overrides())
    else:
        complete = expected.model_copy(update={"flow": "course", "work_pool": "process-pool"})
        assert read_deployments(flow, Overrides()) == [complete]


@pytest.mark.parametrize("hours", ["nan", "inf", "-1", "1e99"])
def test_prune_after_rejects_invalid_hours(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["--prune-after", hours])
    assert "for --prune-after" in capsys.readouterr().err


def test_find_flows_by_folder(checkout: Checkout) -> None:
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
    paths = [Path("flows/air/quality"), checkout.root / "flows" / "course.py"]
    assert find_flows(checkout.root, [], paths) == found[:2]


def test_find_flows_rejects_unknown_projects_and_paths(checkout: Checkout) -> None:
    with pytest.raises(
        InvalidInputError, match=r"no flows in .*; create flows/<project>/<flow>/flow\.py"
    ):
        find_flows(checkout.root, [], [])
    checkout.flow("taxi", "trips")
    with pytest.raises(InvalidInputError, match=r"unknown project taxes; projects in .*: taxi$"):
        find_flows(checkout.root, ["taxes"], [])
    with pytest.raises(
        InvalidInputError, match=r"nothing\.py is not a flow; flows: flows/taxi/trips/flow"
    ):
        find_flows(checkout.root, [], [Path("nothing.py")])


def test_a_bundle_contains_exactly_what_the_flow_imports(checkout: Checkout) -> None:
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
    checkout.write("flows/taxi/common/config/column_types.yaml", "{}")
    checkout.write("flows/config/sensitive_fields.yaml", "{}")
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
    bundle = build_bundle(FlowFile(checkout.root, path))
    assert sorted(map(str, bundle.files)) == [
        "__init__.py",
        "config/column_types.yaml",
        "config/sensitive_fields.yaml",
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
        "taxi/common/config/column_types.yaml",
        "taxi/common/lengths.py",
        "taxi/common/units.py",
    ]
    assert {path.name for path in bundle.secrets} == {".env", "key.json", "aws-credentials.json"}


def test_a_package_is_collected_once(checkout: Checkout) -> None:
    """All of its files were read again for every imported name."""
    path = checkout.flow("taxi", "zones", "import shared.b\nfrom shared.a import x, y\n")
    for name in ("__init__.py", "a.py", "b.py", ".env"):
        checkout.write(f"flows/shared/{name}", "x = y = 0")
    bundle = build_bundle(FlowFile(checkout.root, path))
    assert [secret.name for secret in bundle.secrets] == [".env"]


def test_a_bundle_follows_the_flows_full_name_and_skips_the_standard_library(
    checkout: Checkout,
) -> None:
    """A project named like a module of the standard library does not replace it."""
    code = "import statistics\nfrom statistics import mean\nfrom taxi.trips.tasks import x\n"
    path = checkout.flow("taxi", "trips", code)
    checkout.write("flows/taxi/trips/tasks.py", "from .units import x")
    checkout.write("flows/taxi/trips/units.py")
    checkout.flow("statistics", "counts")
    names = {str(name) for name in build_bundle(FlowFile(checkout.root, path)).files}
    assert "taxi/trips/units.py" in names
    assert "statistics/__init__.py" not in names


def test_the_version_depends_on_names_and_contents(checkout: Checkout) -> None:
    path = checkout.flow("taxi", "trips")
    flow = FlowFile(checkout.root, path)
    first = build_bundle(flow).version
    assert len(first) == 16
    assert build_bundle(flow).version == first
    helper = checkout.write("flows/taxi/trips/utils.py", "x = 1")
    second = build_bundle(flow).version
    assert second != first
    helper.rename(helper.with_name("tools.py"))
    assert build_bundle(flow).version not in (first, second)
    helper.with_name("tools.py").unlink()
    assert build_bundle(flow).version == first


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


@pytest.mark.parametrize(
    ("options", "message"),
    {
        ("--env", "stage"): 'Choose from: "dev", "prod"',
        ("--bucket", "x"): "--bucket",
        ("--prune-after", "-1"): "--prune-after",
    }.items(),
)
def test_invalid_options_are_a_one_line_error(options: tuple[str, ...], message: str) -> None:
    built = build(*options)
    assert built.returncode == 1
    assert built.stderr.startswith("error: ")
    assert message in built.stderr
    assert built.stderr.count("\n") == 1


@pytest.mark.few(1)
@pytest.mark.parametrize("place", ["lakehouse/gold/flow.py", "load_new_months.py"])
def test_bundle_of_a_flow_that_builds_tables_has_the_dbt_project(
    place: str, tmp_path: Path
) -> None:
    """dbt finds its project next to the library, with its tests, without what it has written."""
    bundle = build_bundle(FlowFile(ROOT, ROOT / "flows" / place))
    kept = {name.as_posix() for name in bundle.files}
    assert {"dbt/dbt_project.yml", "dbt/profiles.yml", "dbt/models/silver/trips.sql"} < kept
    assert any(name.startswith("dbt/tests/") for name in kept)
    assert not any(name.startswith(("dbt/target", "dbt/logs")) for name in kept)
    bundle.copy_to(tmp_path)
    code = "from nyc_taxi.transform.project import project_folder; print(project_folder())"
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(tmp_path / "dbt"), done.stderr


@pytest.mark.slow
def test_bundle_of_another_flow_has_no_dbt_project() -> None:
    bundle = build_bundle(FlowFile(ROOT, ROOT / "flows" / "reference" / "zones" / "flow.py"))
    assert not [name for name in bundle.files if name.parts[0] == "dbt"]
