"""Deployments on the server whose flow is no longer in the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from buckets import CodeStore
from plan import Candidate
from projects import FLOWS, find_flows
from register import Server


def orphans(
    found: list[Candidate], server: Server, store: CodeStore | None
) -> Iterator[tuple[str, DeploymentResponse]]:
    """`<flow>/<deployment>` and what the server has of it.

    Code in the checkout: its file is gone. Code in the bucket: no flow has the name, which is known
    only when every flow file was asked for and could be imported.
    """
    root = found[0].file.root
    everything = {one.file for one in found if one.looks} == set(find_flows(root, [], []))
    names = {seen.name for one in found for seen in one.looks.values()}
    for (flow, name), deployment in sorted(server.deployments.items()):
        file = str(deployment.entrypoint).partition(":")[0]
        if store and store.folder_of(deployment):
            gone = everything and flow not in names
        else:
            ours = not deployment.pull_steps and file.startswith(f"{FLOWS}/")
            gone = ours and not (root / file).is_file()
        if gone:
            yield f"{flow}/{name}", deployment


def delete(server: Server, deployment: DeploymentResponse) -> None:
    with suppress(ObjectNotFound):  # another build was faster
        server.client.delete_deployment(deployment.id)
