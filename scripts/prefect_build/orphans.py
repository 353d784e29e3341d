"""Deployments on the server whose flow is no longer in the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from .code_store import CodeStore
from .desired import IN_PLACE
from .plan import Candidate
from .projects import FLOWS, find_flows
from .server import Server


def find_orphaned_deployments(
    candidates: list[Candidate], server: Server, store: CodeStore | None
) -> Iterator[tuple[str, DeploymentResponse]]:
    """Yield `<flow>/<deployment>` and the deployment.

    A deployment of code in the checkout is orphaned when its file is missing. One of code in the
    bucket is orphaned when no flow has its name, which is known only if every flow file was
    requested and could be imported.
    """
    root = candidates[0].file.root
    all_imported = {one.file for one in candidates if one.flows} == set(find_flows(root, [], []))
    names = {flow.name for one in candidates for flow in one.flows.values()}
    for (flow_name, name), deployment in sorted(server.deployments.items()):
        file = str(deployment.entrypoint).partition(":")[0]
        if store and store.version_folder(deployment):
            orphaned = all_imported and flow_name not in names
        else:
            in_checkout = deployment.pull_steps in (None, [], IN_PLACE)
            is_ours = in_checkout and file.startswith(f"{FLOWS}/")
            orphaned = is_ours and not (root / file).is_file()
        if orphaned:
            yield f"{flow_name}/{name}", deployment


def delete_deployment(server: Server, deployment: DeploymentResponse) -> None:
    with suppress(ObjectNotFound):  # another build has deleted it
        server.client.delete_deployment(deployment.id)
