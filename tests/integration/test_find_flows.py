"""scripts/prefect_build: which flows are found, by which options, and what imports them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nyc_taxi.errors import InvalidInputError
from scripts.prefect_build.cli import app
from scripts.prefect_build.projects import find_flows
from tests.support.project_factory import FLOW, ROOT, Checkout, build


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


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
