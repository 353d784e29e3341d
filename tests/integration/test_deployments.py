"""The deployments of prefect.yaml, run by a process worker, and their notifications."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectHTTPStatusError

from nyc_taxi.sources.published import months_back
from nyc_taxi.trips.months import TripMonth
from tests.support.prefect_systems import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # servers start slowly on a busy machine

DOCKER_FLOW = "etl-parent-flow/docker-flow"
DEPLOYMENTS = {
    "etl-parent-flow/Parameterized ETL",
    "etl-parent-flow/etl2",
    DOCKER_FLOW,
    "etl-gcs-to-bq/etl-gcs-to-bq",
    "Ingest Data/Ingest Data",
    "load-new-months/load-new-months",
}
MakeMonth = Callable[..., Path]


def publish(system: System, month_file: MakeMonth, *months: TripMonth) -> None:
    for trips in months:
        (system.folder / "site" / f"{trips.stem}.parquet").write_bytes(
            month_file(trips, 2000).read_bytes()
        )


def deployed(system: System) -> dict[str, Any]:
    """Return the fields of every deployment on the server, except times."""
    with system.client as client:
        flows = {flow.id: flow.name for flow in client.read_flows()}
        found = {}
        for deployment in client.read_deployments():
            facts = deployment.model_dump(
                mode="json",
                include={"id", "parameters", "tags", "entrypoint", "work_pool_name", "description"}
                | {"parameter_openapi_schema", "pull_steps", "paused", "job_variables"},
            )
            facts["schedules"] = [
                (s.schedule.model_dump(mode="json"), s.active) for s in deployment.schedules
            ]
            found[f"{flows[deployment.flow_id]}/{deployment.name}"] = facts
    return found


def test_docker_flow_completes(system: System, month_file: MakeMonth) -> None:
    publish(system, month_file, TripMonth("yellow", 2021, 1), TripMonth("yellow", 2021, 2))
    run = system.prefect("deployment", "run", DOCKER_FLOW, "-p", "months=[1,2]", "--watch")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Completed" in run.stdout
    two = {"yellow_tripdata_2021-01.parquet", "yellow_tripdata_2021-02.parquet"}
    assert two <= set(system.lake())


def test_run_uses_the_checkout_in_place(system: System) -> None:
    """Prefect copies the checkout for a run without a pull step, and keeps it if that is killed."""
    run = system.run(DOCKER_FLOW, months=[1])
    with system.client as client:
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
        messages = [log.message for log in client.read_logs(wanted)]
    assert "Running 1 deployment pull step(s)" in messages
    assert not [message for message in messages if message.startswith("Downloading flow code")]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"months": "1,2"}, "'1,2' is not of type 'array'"),
        ({"months": [13]}, "13 is greater than the maximum of 12"),
        ({"months": []}, "should be non-empty"),
        ({"color": "purple"}, "'purple' is not one of ['yellow', 'green', 'fhv', 'fhvhv']"),
        ({"year": "abc"}, "'abc' is not of type 'integer'"),
    ],
)
def test_an_invalid_parameter_creates_no_run(
    system: System, parameters: dict[str, Any], message: str
) -> None:
    with system.client as client:
        deployment = client.read_deployment_by_name(DOCKER_FLOW)
        before = client.count_flow_runs()
        with pytest.raises(PrefectHTTPStatusError) as rejected:
            client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        assert client.count_flow_runs() == before
    assert rejected.value.response.status_code == 409
    assert message in rejected.value.response.text


@pytest.mark.parametrize("wrong", ["color=purple", "moths=[1]"])
def test_the_command_line_rejects_an_invalid_parameter(system: System, wrong: str) -> None:
    run = system.prefect("deployment", "run", DOCKER_FLOW, "-p", wrong)
    assert run.returncode == 1
    assert wrong.split("=")[wrong.startswith("color")] in run.stdout + run.stderr


def test_the_run_form_describes_parameters_and_lists_colors(system: System) -> None:
    for name, facts in deployed(system).items():
        fields = facts["parameter_openapi_schema"]["properties"]
        assert all(field["description"] for field in fields.values()), name
        assert fields["color"]["enum"] == ["yellow", "green", "fhv", "fhvhv"]


@pytest.mark.slow
def test_deploy_is_idempotent(system: System) -> None:
    before = deployed(system)
    assert set(before) == DEPLOYMENTS
    again = system.shell("./local.sh", "up")
    assert again.returncode == 0, again.stdout + again.stderr
    assert deployed(system) == before


def test_scheduled_deployments_have_upcoming_runs(system: System) -> None:
    crons = {
        name: [(s["cron"], s["timezone"]) for s, active in facts["schedules"] if active]
        for name, facts in deployed(system).items()
        if facts["schedules"]
    }
    assert crons == {
        "etl-parent-flow/etl2": [("0 0 * * *", "America/New_York")],
        "load-new-months/load-new-months": [("0 6 15 * *", "America/New_York")],
    }
    with system.client as client:
        etl2 = client.read_deployment_by_name("etl-parent-flow/etl2")
        upcoming: list[FlowRun] = []
        while not upcoming:  # a new deployment deletes them; the server adds them every 5 s
            time.sleep(0.5)
            upcoming = [run for run in client.read_flow_runs() if run.deployment_id == etl2.id]
    assert {run.state_name for run in upcoming} == {"Scheduled"}


@pytest.mark.slow
def test_new_months_are_loaded_once(system: System, month_file: MakeMonth) -> None:
    today = date.today()
    *_, newest, older, oldest = islice(months_back("green", today.year, today.month), 5)
    counts = "SELECT trip_month, count(*) FROM dezoomcamp.green_rides GROUP BY 1 ORDER BY 1"

    publish(system, month_file, oldest, older)
    first = system.run("load-new-months/load-new-months", color="green", back=2)
    assert first.state_name == "Completed"
    two = [(oldest.first_day, 2000), (older.first_day, 2000)]
    assert system.query(counts) == two

    fetched = len(system.site.requests)
    again = system.run("load-new-months/load-new-months", color="green", back=2)
    assert again.state_name == "Completed"
    assert system.query(counts) == two
    assert not [r for r in system.site.requests[fetched:] if r.bytes_sent > 1000]

    publish(system, month_file, newest)
    system.run("load-new-months/load-new-months", color="green", back=2)
    assert system.query(counts) == [*two, (newest.first_day, 2000)]


@pytest.mark.slow
def test_a_replaced_month_is_reloaded(system: System, month_file: MakeMonth) -> None:
    today = date.today()
    *_, newest = islice(months_back("fhv", today.year, today.month), 3)
    query = "SELECT count(*), sum(hash(dispatching_base_num)) FROM dezoomcamp.fhv_rides"

    publish(system, month_file, newest)
    assert (
        system.run("load-new-months/load-new-months", color="fhv", back=1).state_name == "Completed"
    )
    before = system.query(query)
    replacement = month_file(newest, 2000, seed=1)
    shutil.copy(replacement, system.folder / "site" / f"{newest.stem}.parquet")
    assert (
        system.run("load-new-months/load-new-months", color="fhv", back=1).state_name == "Completed"
    )
    ((rows, _),) = after = system.query(query)
    assert rows == 2000
    assert after != before


@dataclass
class Webhook:
    url: str = ""
    texts: list[str] = field(default_factory=list)

    def wait_for(self, *words: str, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for text in self.texts:
                if all(word in text for word in words):
                    return text
            time.sleep(0.1)
        raise AssertionError(f"no message with {words} in {self.texts}")


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.texts.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_port}/services/T0/secret"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hook
        server.shutdown()


@pytest.fixture(scope="module")
def watched(system: System, webhook: Webhook) -> System:
    for options in ([], ["--test"]):  # saving it again replaces it
        made = system.shell(
            sys.executable, "blocks/make_notification.py", *options, NOTIFICATION_URL=webhook.url
        )
        assert made.returncode == 0, made.stdout + made.stderr
    return system


def test_the_test_message_arrives(watched: System, webhook: Webhook) -> None:
    assert webhook.wait_for("a test", seconds=1)


@pytest.mark.slow
def test_only_a_failed_run_sends_a_message(
    watched: System, webhook: Webhook, month_file: MakeMonth
) -> None:
    january = month_file(TripMonth("green", 2021, 1), 2000)
    (watched.folder / "site" / january.name).write_bytes(january.read_bytes())
    completed = watched.run(DOCKER_FLOW, months=[1], color="green")
    failed = watched.run(DOCKER_FLOW, months=[2], color="green")
    assert (completed.state_name, failed.state_name) == ("Completed", "Failed")

    text = webhook.wait_for("is Failed", "green 2021 [2]", "the source has no green 2021-02")
    assert f"/runs/flow-run/{failed.id}" in text
    assert len([text for text in webhook.texts if "green 2021 [2]" in text]) == 1
    assert not [text for text in webhook.texts if "green 2021 [1]" in text]


@pytest.mark.slow
def test_a_late_run_sends_a_message(watched: System, webhook: Webhook) -> None:
    with watched.client as client:
        client.update_work_pool("process-pool", WorkPoolUpdate(is_paused=True))
        deployment = client.read_deployment_by_name(DOCKER_FLOW)
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"months": [1]})
        try:
            assert webhook.wait_for("is Late", run.name)
        finally:
            client.delete_flow_run(run.id)
            client.update_work_pool("process-pool", WorkPoolUpdate(is_paused=False))


def test_the_webhook_url_is_stored_as_a_secret(watched: System, webhook: Webhook) -> None:
    shown = watched.prefect("block", "inspect", "custom-webhook/flow-run-notification")
    assert shown.returncode == 0
    assert "secret" not in shown.stdout.replace("secrets", "")


def test_an_unreachable_webhook_does_not_replace_a_working_one(watched: System) -> None:
    with watched.client as client:
        (before,) = client.read_automations_by_name("flow-run-notification")
    made = watched.shell(
        sys.executable,
        "blocks/make_notification.py",
        "--test",
        NOTIFICATION_URL="http://127.0.0.1:9/dead",
    )
    assert made.returncode == 1
    assert made.stderr.startswith("error: the webhook rejected the message")
    with watched.client as client:
        (after,) = client.read_automations_by_name("flow-run-notification")
        block = client.read_block_document_by_name(
            "flow-run-notification", "custom-webhook", include_secrets=True
        )
    assert after == before
    assert "dead" not in str(block.data)


def test_a_missing_webhook_url_is_a_one_line_error(system: System) -> None:
    made = system.shell(sys.executable, "blocks/make_notification.py", NOTIFICATION_URL="hooks")
    assert made.returncode == 1
    assert made.stderr.startswith("error: NOTIFICATION_URL is not an http(s) URL")
    assert made.stderr.count("\n") == 1
