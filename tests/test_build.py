"""scripts/prefect_build/build.py and a real Prefect server: what is registered, and what is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import FLOW, Checkout, build, rows
from local_system import System
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse

DEPLOYMENT = """
    name: nightly
    description: Every night.
    parameters: {number: 7}
    schedule: {cron: "0 3 * * *", timezone: America/New_York}
    work_pool: process-pool
    labels: [air, night]
    """


@pytest.fixture
def checkout(tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """A checkout for the system's server; what it registers is gone afterwards."""
    monkeypatch.setenv("PREFECT_API_URL", system.env["PREFECT_API_URL"])
    with system.client as client:
        before = {found.id for found in client.read_deployments()}
        yield Checkout(tmp_path)
        for found in client.read_deployments():
            if found.id not in before:
                client.delete_deployment(found.id)


def read(system: System, name: str) -> DeploymentResponse:
    with system.client as client:
        return client.read_deployment_by_name(name)


def test_this_repository(checkout: Checkout, system: System) -> None:
    """What `prefect deploy --all` made is unchanged; the flows it does not know are added.

    In a clone, the version that Prefect gives to code in a checkout is its commit.
    """
    etl2 = read(system, "etl-parent-flow/etl2")
    with system.client as client:
        client.update_deployment(etl2.id, DeploymentUpdate(version="0a1b2c3d"))
    first = rows(build().stdout)
    assert first["etl-parent-flow/etl2"][-1] == "unchanged"
    assert first["load-new-months/load-new-months"][-1] == "unchanged"
    assert first["etl-web-to-gcs/default"][-1] == "created"
    assert first["zones/zones"][:-1] == [
        "flows/reference/zones/flow.py:zones",
        "checkout",
        "process-pool",
        "0 5 1 * * America/New_York",
    ]
    again = build()
    assert again.returncode == 0
    assert {row[-1] for row in rows(again.stdout).values()} == {"unchanged"}
    assert again.stdout.endswith(f"\n{len(first)} unchanged\n")


def test_what_deployment_yaml_says(checkout: Checkout, system: System) -> None:
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
    found = read(system, "quality/nightly")
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
    changed = DEPLOYMENT.replace("0 3 * * *", "0 4 * * *").replace("7", "8")
    checkout.write("flows/air/quality/deployment.yaml", changed)
    row = rows(checkout.build().stdout)["quality/nightly"]
    assert row[-1] == "updated (parameters, schedule)"
    assert read(system, "quality/nightly").id == found.id


def test_what_is_paused_stays_paused(checkout: Checkout, system: System) -> None:
    checkout.flow("air", "quality")
    checkout.write("flows/air/quality/deployment.yaml", DEPLOYMENT)
    checkout.build()
    found = read(system, "quality/nightly")
    resting: DeploymentSchedule = found.schedules[0]
    with system.client as client:
        client.update_deployment(found.id, DeploymentUpdate(paused=True))
        client._client.patch(
            f"/deployments/{found.id}/schedules/{resting.id}", json={"active": False}
        ).raise_for_status()
    changed = DEPLOYMENT.replace("0 3 * * *", "0 4 * * *").replace("7", "8")
    checkout.write("flows/air/quality/deployment.yaml", changed)
    row = rows(checkout.build().stdout)["quality/nightly"]
    assert row[-1] == "updated (parameters, schedule)"
    after = read(system, "quality/nightly")
    assert after.parameters == {"number": 8}
    assert after.paused
    assert not after.schedules[0].active


def test_the_broken_are_named_and_the_others_registered(checkout: Checkout, system: System) -> None:
    checkout.flow("air", "good")
    checkout.flow("air", "bad", "import no_such_package")
    checkout.flow("air", "poolless")
    checkout.write("flows/air/poolless/deployment.yaml", "work_pool: swimming-pool")
    checkout.flow("air", "misled")
    checkout.write("flows/air/misled/deployment.yaml", "parameters: {number: many}")
    checkout.flow("air", "nameless")
    checkout.write("flows/air/nameless/deployment.yaml", "name: '{{ prefect.variables.nope }}'")
    built = checkout.build()
    assert built.returncode == 1
    assert {name: row[-1] for name, row in rows(built.stdout).items()} == {
        "flows/air/bad/flow.py": "broken",
        "good/default": "created",
        "misled/default": "broken",
        "nameless/{{ prefect.variables.nope }}": "broken",
        "poolless/default": "broken",
    }
    assert "flows/air/bad/flow.py: ModuleNotFoundError: No module named 'no_such" in built.stdout
    assert "no work pool swimming-pool on the server, which has process-pool" in built.stdout
    assert "with the server's variables: name: String should have at least 1" in built.stdout
    assert "deployment default has wrong parameters: " in built.stdout
    assert built.stdout.endswith("\n4 broken, 1 created\n")
    assert read(system, "good/default").entrypoint == "flows/air/good/flow.py:good"


def test_a_flow_that_breaks_keeps_its_deployment(checkout: Checkout, system: System) -> None:
    path = checkout.flow("air", "good")
    checkout.build()
    before = read(system, "good/default")
    path.write_text("import no_such_package")
    assert checkout.build().returncode == 1
    assert read(system, "good/default").updated == before.updated


def test_a_dry_run_does_nothing(checkout: Checkout, system: System) -> None:
    checkout.flow("air", "quality")
    with system.client as client:
        before = len(client.read_deployments()), len(client.read_flows())
        planned = checkout.build("--dry-run")
        assert rows(planned.stdout)["quality/default"][-1] == "created"
        assert planned.stdout.endswith("\n1 created (dry run: nothing was done)\n")
        assert (len(client.read_deployments()), len(client.read_flows())) == before


def test_projects_flows_labels_pool_and_image(checkout: Checkout, system: System) -> None:
    save = "from nyc_taxi.pools import save_pool; save_pool('boxes', 'docker')"
    assert system.shell(sys.executable, "-c", save).returncode == 0
    for project, name in (("air", "quality"), ("air", "alarm"), ("taxi", "trips")):
        checkout.flow(project, name)
    options = ("--labels", "etl", "dev", "--work-pool", "boxes", "--image", "nyc-taxi:1")
    built = checkout.build("--projects", "air", "--flows", "flows/taxi/trips", *options)
    assert list(rows(built.stdout)) == ["alarm/default", "quality/default", "trips/default"]
    found = read(system, "trips/default")
    assert (found.tags, found.work_queue_name) == (["etl", "dev"], "etl")
    assert (found.work_pool_name, found.job_variables) == ("boxes", {"image": "nyc-taxi:1"})

    one = checkout.build("--flows", "flows/taxi/trips/flow.py", *options)
    assert {name: row[-1] for name, row in rows(one.stdout).items()} == {
        "trips/default": "unchanged"
    }
    unknown = checkout.build("--projects", "water")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("error: no project water in ")


@pytest.mark.timeout(600)
def test_two_hundred_flows_in_one_run(system: System, tmp_path: Path) -> None:
    """Each file is imported once."""
    log, checkout = tmp_path / "imports", Checkout(tmp_path)
    note = f"open({str(log)!r}, 'a').write(__file__ + '\\n')\n"
    for number in range(200):
        project, name = f"project_{number // 10}", f"flow_{number}"
        checkout.flow(project, name, note + FLOW.format(name=name, function=name))
    built = checkout.build(PREFECT_API_URL=system.env["PREFECT_API_URL"])
    assert built.stdout.endswith("\n200 created\n"), built.stdout[-500:]
    imports = log.read_text().splitlines()
    assert len(imports) == len(set(imports)) == 200


@pytest.mark.parametrize(
    ("url", "said"),
    {
        "": "error: no Prefect server is named; run: make up-local, then: export PREFECT_API_URL=",
        "http://127.0.0.1:9/api": "error: the Prefect server at http://127.0.0.1:9/api does not",
    }.items(),
)
def test_no_server(url: str, said: str, checkout: Checkout) -> None:
    checkout.flow("air", "quality")
    built = checkout.build(PREFECT_API_URL=url)
    assert built.returncode == 1
    assert built.stderr.startswith(said)
    assert built.stderr.count("\n") == 1
