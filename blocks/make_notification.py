"""Send a message when a flow run fails, crashes or is late.

    NOTIFICATION_URL=https://hooks.slack.com/... python blocks/make_notification.py [--test]

Saves the block `flow-run-notification` and an automation of the same name. It works with Slack's
webhooks and any other that accepts JSON; `--test` sends a test message first.
"""

import os
from datetime import timedelta
from urllib.parse import urlsplit

from nyc_taxi.cli import script

import httpx
from prefect.blocks.fields import SecretDict
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from nyc_taxi.errors import InvalidInputError

NAME = "flow-run-notification"
BODY = """\
{{ flow.name }}: the run {{ flow_run.name }} is {{ flow_run.state.name }}.
{{ flow_run.state.message }}
{{ flow_run|ui_url }}"""


def webhook() -> CustomWebhookNotificationBlock:
    """Return the block, with the message in `text` as Slack expects it; the URL is a secret."""
    url = os.environ.get("NOTIFICATION_URL", "")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise InvalidInputError(
            "NOTIFICATION_URL is not an http(s) URL; set it to the webhook's URL, "
            "such as https://hooks.slack.com/services/..."
        )
    return CustomWebhookNotificationBlock(
        name=NAME,
        url="{{url}}",
        json_data={"text": "{{subject}}\n{{body}}"},
        headers=None,
        cookies=None,
        secrets=SecretDict({"url": url}),
    )


def automation(block: CustomWebhookNotificationBlock) -> AutomationCore:
    states = ("Failed", "Crashed", "Late")
    assert block._block_document_id is not None
    return AutomationCore(
        name=NAME,
        description=f"Sends a message to the webhook when a run is {', '.join(states)}.",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in states},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            SendNotification(
                block_document_id=block._block_document_id,
                subject="Prefect: {{ flow.name }} {{ flow_run.state.name }}",
                body=BODY,
            )
        ],
    )


def send_test(block: CustomWebhookNotificationBlock) -> None:
    try:
        block.notify("This is a test message.", subject="Prefect: a test")
    except httpx.HTTPError as problem:
        raise InvalidInputError(
            f"the webhook rejected the message ({type(problem).__name__}); check NOTIFICATION_URL"
        ) from problem
    print("test message sent")


def main(*, test: bool = False) -> None:
    block = webhook()
    if test:
        send_test(block)  # before it replaces a working block
    block.save(NAME, overwrite=True)
    with get_client(sync_client=True) as client:
        for old in client.read_automations_by_name(NAME):
            client.delete_automation(old.id)
        client.create_automation(automation(block))
    print(f"automation {NAME}: sends a message when a flow run fails, crashes or is late")


if __name__ == "__main__":
    script(main)
