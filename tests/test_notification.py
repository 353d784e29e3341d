"""The message about a run that went wrong arrives at a webhook; a good run sends none."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from local_system import System
from prefect.client.schemas.actions import WorkPoolUpdate

from nyc_taxi.months import TripMonth

DOCKER_FLOW = "etl-parent-flow/docker-flow"


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
    for options in ([], ["--test"]):  # saved twice, as one
        made = system.shell(
            sys.executable, "blocks/make_notification.py", *options, NOTIFICATION_URL=webhook.url
        )
        assert made.returncode == 0, made.stdout + made.stderr
    return system


def test_the_test_message_arrives(watched: System, webhook: Webhook) -> None:
    assert webhook.wait_for("a test", seconds=1)


def test_a_failed_run_sends_one_message_and_a_good_one_none(
    watched: System, webhook: Webhook, month_file: Callable[..., Path]
) -> None:
    january = month_file(TripMonth("green", 2021, 1), 2000)
    (watched.folder / "site" / january.name).write_bytes(january.read_bytes())
    good = watched.run(DOCKER_FLOW, months=[1], color="green")
    bad = watched.run(DOCKER_FLOW, months=[2], color="green")
    assert (good.state_name, bad.state_name) == ("Completed", "Failed")

    text = webhook.wait_for("is Failed", "green 2021 [2]", "the source has no green 2021-02")
    assert f"/runs/flow-run/{bad.id}" in text
    assert len([text for text in webhook.texts if "green 2021 [2]" in text]) == 1
    assert not [text for text in webhook.texts if "green 2021 [1]" in text]


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


def test_the_address_is_kept_as_a_secret(watched: System, webhook: Webhook) -> None:
    shown = watched.prefect("block", "inspect", "custom-webhook/flow-run-notification")
    assert shown.returncode == 0
    assert "secret" not in shown.stdout.replace("secrets", "")


def test_without_an_address_one_line_says_so(system: System) -> None:
    made = system.shell(sys.executable, "blocks/make_notification.py", NOTIFICATION_URL="hooks")
    assert made.returncode == 1
    assert made.stderr.startswith("error: NOTIFICATION_URL holds no http(s) address")
    assert made.stderr.count("\n") == 1
