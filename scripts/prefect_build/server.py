"""The Prefect server: its work pools and deployments, and how a deployment is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pydantic
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings
from prefect.utilities.templating import resolve_variables

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.orchestration.server import check_server
from nyc_taxi.orchestration.server_errors import explain

from .code_store import CodeStore
from .deployments import DeploymentFile
from .desired import DesiredDeployment

CREATED = "created"
PAGE_SIZE = 200
POOL_SCRIPTS = {
    "process-pool": "blocks/make_process_pool.py",
    "yarn-pool": "blocks/make_yarn_pool.py",
    "docker-pool": "blocks/make_docker_block.py",
    "ecs-pool": "blocks/make_ecs_pool.py",
    "cloud-run-pool": "blocks/make_cloud_run_pool.py",
}


@dataclass
class Server:
    """The server's work pools and deployments, read once."""

    client: SyncPrefectClient
    pools: dict[str, WorkPool] = field(init=False)
    flows: dict[str, Any] = field(init=False)
    """Name -> id."""
    deployments: dict[tuple[str, str], DeploymentResponse] = field(init=False)
    """By names of flow and deployment."""

    def __post_init__(self) -> None:
        self.pools = {pool.name: pool for pool in _read_pages(self.client.read_work_pools)}
        self.flows = {flow.name: flow.id for flow in _read_pages(self.client.read_flows)}
        names = {id: name for name, id in self.flows.items()}
        self.deployments = {
            (names[found.flow_id], found.name): found
            for found in _read_pages(self.client.read_deployments)
        }

    def status(self, desired: DesiredDeployment) -> str:
        existing = self.deployments.get((desired.flow_name, desired.name))
        if existing is None:
            return CREATED
        changed = desired.differences(existing)
        return f"updated ({', '.join(changed)})" if changed else "unchanged"

    def save(self, desired: DesiredDeployment) -> None:
        """Create or update the deployment; what was paused in the UI stays paused.

        Raises StorageError if the server rejects it.
        """
        existing = self.deployments.get((desired.flow_name, desired.name))
        if existing and not desired.differences(existing):
            return
        before = existing.schedules if existing else []
        active = not before or any(item.active for item in before)
        schedules = [item.model_copy(update={"active": active}) for item in desired.schedules]
        flow = desired.flow_name
        try:
            if flow not in self.flows:
                self.flows[flow] = self.client.create_flow_from_name(flow)
            self.client.create_deployment(
                self.flows[flow],
                desired.name,
                paused=existing.paused if existing else False,
                schedules=schedules,
                **desired.fields,
            )
        except PrefectHTTPStatusError as problem:
            reason = " ".join(problem.response.text.split())
            raise StorageError(f"the server rejected {flow}/{desired.name}: {reason}") from problem

    def resolve_variables(self, settings: DeploymentFile) -> DeploymentFile:
        """Fill in the values of the server's variables."""
        if "{{" not in settings.model_dump_json():
            return settings
        values = asyncio.run(resolve_variables(settings.model_dump()))
        try:
            return DeploymentFile.model_validate(values)
        except pydantic.ValidationError as problem:
            first = problem.errors()[0]
            raise InvalidInputError(
                f"deployment {settings.name}, with the server's variables: "
                f"{first['loc'][0]}: {first['msg']}; see: prefect variable ls"
            ) from problem

    def deployments_in(self, store: CodeStore) -> list[tuple[str, DeploymentResponse]]:
        """Return the deployments whose code is in the bucket, each with the name of its flow."""
        return [
            (flow_name, found)
            for (flow_name, _), found in self.deployments.items()
            if store.version_folder(found) is not None
        ]

    def work_pool(self, name: str) -> WorkPool:
        """Raises InvalidInputError if the server does not have it."""
        if name not in self.pools:
            script = POOL_SCRIPTS.get(name)
            command = (
                f"python {script}" if script else f"prefect work-pool create {name} --type process"
            )
            raise InvalidInputError(
                f"the work pool {name} does not exist; the server has "
                f"{', '.join(self.pools) or 'none'}; create it: {command}"
            )
        return self.pools[name]


def is_server_configured() -> bool:
    """Return True if PREFECT_API_URL is set; without it, Prefect would start a private server."""
    return bool(get_current_settings().api.url)


@contextmanager
def connect() -> Iterator[Server]:
    """Connect to the server at PREFECT_API_URL.

    Raises InvalidInputError if it is not set, ServerError or StorageError if the server does not
    answer.
    """
    if not is_server_configured():
        raise InvalidInputError(
            "PREFECT_API_URL is not set; run: make up-local, then: "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    check_server()
    try:
        with get_client(sync_client=True) as client:
            yield Server(client)
    except httpx.HTTPError as problem:
        raise StorageError(explain(problem)) from problem


def _read_pages(read: Any) -> Any:
    """Yield everything that a paginated method of the client returns."""
    offset = 0
    while page := read(limit=PAGE_SIZE, offset=offset):
        yield from page
        offset += PAGE_SIZE
