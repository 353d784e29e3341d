"""scripts/prefect_build/build.py with a real Prefect server."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from nyc_taxi.orchestration.work_pools import save_pool
from tests.support.prefect_systems import System
from tests.support.project_factory import FLOW, Checkout, build, rows

DEPLOYMENT = """
    name: nightly
    description: Every night.
    parameters: {number: 7}
    schedule: {cron: "0 3 * * *", timezone: America/New_York}
    work_pool: process-pool
    labels: [air, night]
    """


@pytest.fixture
def checkout(tmp_path: Path, bare_system: System) -> Iterator[Checkout]:
    """A checkout for the tests' server; its deployments are deleted afterwards."""
    with bare_system.client as client:
        before = {found.id for found in client.read_deployments()}
        yield Checkout(tmp_path)
        for found in client.read_deployments():
            if found.id not in before:
                client.delete_deployment(found.id)


def read(system: System, name: str) -> DeploymentResponse:
    with system.client as client:
        return client.read_deployment_by_name(name)


@pytest.mark.slow
def test_build_adds_to_what_prefect_deploy_registered(
    checkout: Checkout, bare_system: System
) -> None:
    """Deployments made by `prefect deploy --all` are unchanged; other flows get new ones.

    In a clone, Prefect sets the version of code in a checkout to the commit.
    """
    deployed = bare_system.prefect("deploy", "--all")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    etl2 = read(bare_system, "etl-parent-flow/etl2")
    with bare_system.client as client:
        client.update_deployment(etl2.id, DeploymentUpdate(version="0a1b2c3d"))
    first = rows(build().stdout)
    for name in ("etl-parent-flow/etl2", "etl-parent-flow/docker-flow", "Ingest Data/Ingest Data"):
        assert first[name][-1] == "unchanged"
    assert first["load-new-months/load-new-months"][-1] == "unchanged"
    assert first["etl-web-to-gcs/default"][-1] == "created"
    assert first["zones/zones"] == [
        "flows/reference/zones/flow.py:zones",
        "checkout",
        "process-pool",
        "0 5 1 * * America/New_York",
        "created",
    ]
    assert first["lookups/lookups"][0] == "flows/reference/lookups/flow.py:lookups"
    assert first["lookups/lookups"][-1] == "created"
    again = build()
    assert again.returncode == 0
    assert {row[-1] for row in rows(again.stdout).values()} == {"unchanged"}
    assert again.stdout.endswith(f"\n{len(first)} unchanged\n")


@pytest.mark.slow
def test_build_applies_deployment_yaml_and_keeps_what_is_paused(
    checkout: Checkout, bare_system: System
) -> None:
    checkout.flow("air", "quality")
    checkout.write("flows/air/quality/deployment.yaml", DEPLOYMENT)
    row = rows(checkout.build().stdout)["quality/nightly"]
    assert row == [
        "flows/air/quality/flow.py:quality",
        "checkout",
        "process-pool",
        "0 3 * * * America/New_York",
        "created",
    ]
    found = read(bare_system, "quality/nightly")
    assert found.description == "Every night."
    assert found.parameters == {"number": 7}
    assert found.tags == ["air", "night"]
    assert found.work_queue_name == "air"
    assert found.enforce_parameter_schema
    (schedule,) = found.schedules
    assert schedule.schedule.model_dump(exclude_defaults=True) == {
        "cron": "0 3 * * *",
        "timezone": "America/New_York",
    }

    with bare_system.client as client:
        client.update_deployment(found.id, DeploymentUpdate(paused=True))
        client._client.patch(
            f"/deployments/{found.id}/schedules/{schedule.id}", json={"active": False}
        ).raise_for_status()
    changed = DEPLOYMENT.replace("0 3 * * *", "0 4 * * *").replace("7", "8")
    checkout.write("flows/air/quality/deployment.yaml", changed)
    row = rows(checkout.build().stdout)["quality/nightly"]
    assert row[-1] == "updated (parameters, schedule)"
    after = read(bare_system, "quality/nightly")
    assert after.id == found.id
    assert after.parameters == {"number": 8}
    assert after.paused
    assert not after.schedules[0].active


@pytest.mark.slow
def test_build_reports_broken_flows_and_registers_the_others(
    checkout: Checkout, bare_system: System
) -> None:
    breaks = checkout.flow("air", "breaks")
    checkout.build()
    before = read(bare_system, "breaks/default")
    breaks.write_text("import no_such_package")
    checkout.flow("air", "good")
    checkout.flow("air", "poolless")
    checkout.write("flows/air/poolless/deployment.yaml", "work_pool: swimming-pool")
    checkout.flow("air", "misled")
    checkout.write("flows/air/misled/deployment.yaml", "parameters: {number: many}")
    checkout.flow("air", "nameless")
    checkout.write("flows/air/nameless/deployment.yaml", "name: '{{ prefect.variables.nope }}'")
    built = checkout.build()
    assert built.returncode == 1
    assert {name: row[-1] for name, row in rows(built.stdout).items()} == {
        "flows/air/breaks/flow.py": "broken",
        "good/default": "created",
        "misled/default": "broken",
        "nameless/{{ prefect.variables.nope }}": "broken",
        "poolless/default": "broken",
    }
    assert "flows/air/breaks/flow.py: ModuleNotFoundError: No module named 'no_such" in built.stdout
    assert re.search(
        "the work pool swimming-pool does not exist; the server has .*process-pool.*; create it",
        built.stdout,
    )
    assert ", with the server's variables: name: String should have at least 1" in built.stdout
    assert "deployment default has invalid parameters: " in built.stdout
    assert built.stdout.endswith("\n4 broken, 1 created\n")
    assert read(bare_system, "good/default").entrypoint == "flows/air/good/flow.py:good"
    assert read(bare_system, "breaks/default").updated == before.updated


@pytest.mark.slow
@pytest.mark.parametrize("verify", [True, False])
def test_build_reports_an_unknown_parameter(checkout: Checkout, verify: bool) -> None:
    checkout.flow("air", "quality")
    checkout.write("flows/air/quality/deployment.yaml", "parameters: {numbr: 7}")
    built = checkout.build(*(["--verify"] if verify else []))
    assert built.returncode == 1
    finding = "deployment default: unknown parameter numbr; the flow's parameters: number"
    assert f"flows/air/quality/flow.py: {finding}\n" in built.stdout


@pytest.mark.slow
def test_build_reports_orphaned_deployments_and_deletes_them_on_request(
    checkout: Checkout, bare_system: System
) -> None:
    """They would still be scheduled, and every run would fail."""
    for name in ("quality", "alarm"):
        checkout.flow("air", name)
    checkout.write("flows/air/alarm/deployment.yaml", "schedule: {cron: '0 0 * * *'}")
    checkout.build()
    shutil.rmtree(checkout.root / "flows/air/alarm")
    line = "alarm/default: orphaned, its flow is no longer under flows/; "
    for options in ([], ["--prune-deployments", "--dry-run"]):
        built = checkout.build(*options)
        assert built.returncode == 0
        assert line in built.stdout
        assert read(bare_system, "alarm/default")
    assert f"{line}delete it with: build.py --prune-deployments" in checkout.build().stdout
    assert f"{line}deleted" in checkout.build("--prune-deployments").stdout
    with pytest.raises(ObjectNotFound):
        read(bare_system, "alarm/default")
    assert read(bare_system, "quality/default")
    assert line not in checkout.build().stdout


@pytest.mark.slow
def test_build_suggests_the_command_for_a_pool_that_no_script_creates(checkout: Checkout) -> None:
    checkout.flow("air", "quality")
    built = checkout.build("--work-pool", "nope")
    assert "create it: prefect work-pool create nope --type process" in built.stdout


def test_build_selects_flows_and_overrides_settings(
    checkout: Checkout, bare_system: System
) -> None:
    save_pool("boxes", "docker")
    for project, name in (("air", "quality"), ("air", "alarm"), ("taxi", "trips")):
        checkout.flow(project, name)
    options = ("--labels", "etl", "dev", "--work-pool", "boxes", "--image", "nyc-taxi:1")
    built = checkout.build("--projects", "air", "--flows", "flows/taxi/trips", *options)
    assert list(rows(built.stdout)) == ["alarm/default", "quality/default", "trips/default"]
    found = read(bare_system, "trips/default")
    assert (found.tags, found.work_queue_name) == (["etl", "dev"], "etl")
    assert (found.work_pool_name, found.job_variables) == ("boxes", {"image": "nyc-taxi:1"})

    one = checkout.build("--flows", "flows/taxi/trips/flow.py", *options)
    assert {name: row[-1] for name, row in rows(one.stdout).items()} == {
        "trips/default": "unchanged"
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_build_imports_each_of_200_flows_once(checkout: Checkout, tmp_path: Path) -> None:
    log = tmp_path / "imports"
    note = f"open({str(log)!r}, 'a').write(__file__ + '\\n')\n"
    for number in range(200):
        project, name = f"project_{number // 10}", f"flow_{number}"
        checkout.flow(project, name, note + FLOW.format(name=name, function=name))
    built = checkout.build()
    assert built.stdout.endswith("\n200 created\n"), built.stdout[-500:]
    imports = log.read_text().splitlines()
    assert len(imports) == len(set(imports)) == 200


@pytest.mark.slow
@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("url", "message"),
    {
        "": "error: PREFECT_API_URL is not set; run: make up-local, then: export PREFECT_API_URL=",
        "http://127.0.0.1:9/api": "error: the Prefect server at http://127.0.0.1:9/api does not",
    }.items(),
)
def test_build_without_a_server_is_a_one_line_error(
    url: str, message: str, checkout: Checkout
) -> None:
    checkout.flow("air", "quality")
    built = checkout.build(PREFECT_API_URL=url)
    assert built.returncode == 1
    assert built.stderr.startswith(message)
    assert built.stderr.count("\n") == 1


@pytest.mark.slow
def test_deploy_registers_the_lakehouse_once(checkout: Checkout, bare_system: System) -> None:
    """flows/lakehouse/deploy.py: created, then unchanged; --update creates nothing."""

    def deploy(*options: str) -> dict[str, list[str]]:
        done = bare_system.shell(sys.executable, "flows/lakehouse/deploy.py", *options)
        assert done.returncode == 0, done.stderr
        return rows(done.stdout)

    none = bare_system.shell(
        sys.executable, "flows/lakehouse/deploy.py", "--flow", "silver", "--update"
    )
    assert none.stderr == "error: these flows have no deployments yet; omit --update\n"
    assert {row[-1] for row in deploy("--all").values()} == {"created"}
    assert {row[-1] for row in deploy("--all").values()} == {"unchanged"}
    again = deploy("--flow", "full-pipeline", "--update")
    assert set(again) == {"full-pipeline/full-pipeline", "full-pipeline/hourly"}
    hourly = read(bare_system, "full-pipeline/hourly")
    assert hourly.parameters == {"hourly": True}
    assert hourly.schedules[0].schedule.model_dump(exclude_defaults=True) == {
        "cron": "0 * * * *",
        "timezone": "America/New_York",
    }
