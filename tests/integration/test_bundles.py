"""scripts/prefect_build: a flow's bundle has what it imports and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.prefect_build.bundles import build_bundle
from scripts.prefect_build.projects import FlowFile
from tests.support.project_factory import ROOT, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


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
