"""What Prefect's server has of a flow's deployments, compared with what they shall be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pydantic
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings
from prefect.utilities.schema_tools import CircularSchemaRefError, ValidationError, validate
from prefect.utilities.templating import resolve_variables

from buckets import Bucket, CodeStore, code_folder
from deployments import DeploymentFile
from looking import Look
from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.orchestration.prefect_server import check_server, explain

PAGE = 200
MAKE_POOL = {
    "process-pool": "process_pool",
    "docker-pool": "docker_block",
    "ecs-pool": "ecs_pool",
    "cloud-run-pool": "cloud_run_pool",
}


@dataclass(frozen=True)
class Deployment:
    """One deployment as it shall be, in the words of Prefect's API."""

    flow_name: str
    name: str
    schedules: tuple[DeploymentScheduleCreate, ...]
    fields: dict[str, Any]
    code: str = ""
    """The folder of its version in the bucket; empty where the code is in the checkout."""

    def differences(self, existing: DeploymentResponse) -> list[str]:
        """The fields that the server has otherwise; what is empty is None there, or "" or {}."""
        found = [
            name
            for name, value in self.fields.items()
            if (getattr(existing, name) or None) != (value or None)
        ]
        if [item.schedule for item in existing.schedules] != [s.schedule for s in self.schedules]:
            found.append("schedule")
        return found


@dataclass
class Server:
    """The server's work pools and deployments, read once."""

    client: SyncPrefectClient
    pools: dict[str, WorkPool] = field(init=False)
    flows: dict[str, Any] = field(init=False)
    deployments: dict[tuple[str, str], DeploymentResponse] = field(init=False)

    def __post_init__(self) -> None:
        self.pools = {pool.name: pool for pool in _pages(self.client.read_work_pools)}
        flows = list(_pages(self.client.read_flows))
        self.flows = {flow.name: flow.id for flow in flows}
        names = {flow.id: flow.name for flow in flows}
        self.deployments = {
            (names[found.flow_id], found.name): found
            for found in _pages(self.client.read_deployments)
        }

    def status(self, wanted: Deployment) -> str:
        existing = self.deployments.get((wanted.flow_name, wanted.name))
        if existing is None:
            return "created"
        changed = wanted.differences(existing)
        return f"updated ({', '.join(changed)})" if changed else "unchanged"

    def save(self, wanted: Deployment) -> None:
        """Create it, or change what is there; what people have paused stays so."""
        existing = self.deployments.get((wanted.flow_name, wanted.name))
        if existing and not wanted.differences(existing):
            return
        had = existing.schedules if existing else []
        active = not had or any(item.active for item in had)
        schedules = [item.model_copy(update={"active": active}) for item in wanted.schedules]
        try:
            if wanted.flow_name not in self.flows:
                self.flows[wanted.flow_name] = self.client.create_flow_from_name(wanted.flow_name)
            self.client.create_deployment(
                self.flows[wanted.flow_name],
                wanted.name,
                paused=existing.paused if existing else False,
                schedules=schedules,
                **wanted.fields,
            )
        except PrefectHTTPStatusError as problem:
            said = " ".join(problem.response.text.split())
            raise StorageError(
                f"the server refuses {wanted.flow_name}/{wanted.name}: {said}"
            ) from problem

    def resolved(self, settings: DeploymentFile) -> DeploymentFile:
        """With the values of the server's variables."""
        if "{{" not in settings.model_dump_json():
            return settings
        values = asyncio.run(resolve_variables(settings.model_dump()))
        try:
            return DeploymentFile.model_validate(values)
        except pydantic.ValidationError as problem:
            first = problem.errors()[0]
            raise InvalidInputError(
                f"its deployment {settings.name} with the server's variables: "
                f"{first['loc'][0]}: {first['msg']}; see: prefect variable ls"
            ) from problem

    def deployments_from(self, store: CodeStore) -> list[tuple[str, DeploymentResponse]]:
        """Those that fetch their code from the bucket, each with the name of its flow."""
        return [
            (flow, found)
            for (flow, _), found in self.deployments.items()
            if store.folder_of(found) is not None
        ]

    def pool(self, name: str) -> WorkPool:
        if name not in self.pools:
            script = MAKE_POOL.get(name)
            make = f"python blocks/make_{script}.py" if script else "prefect work-pool create"
            raise InvalidInputError(
                f"no work pool {name} on the server, which has {', '.join(self.pools) or 'none'}; "
                f"make it: {make}" + ("" if script else f" {name} --type process")
            )
        return self.pools[name]


def is_configured() -> bool:
    """Whether a server was named. Without one Prefect would start one that nobody else sees."""
    return bool(get_current_settings().api.url)


@contextmanager
def connected() -> Iterator[Server]:
    """Connect to PREFECT_API_URL. Raises InvalidInputError if it is unset or does not answer."""
    if not is_configured():
        raise InvalidInputError(
            "no Prefect server is named; run: make up-local, then: "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    check_server()
    try:
        with get_client(sync_client=True) as client:
            yield Server(client)
    except httpx.HTTPError as problem:
        raise StorageError(explain(problem)) from problem


def deployment(
    seen: Look,
    settings: DeploymentFile,
    pool: WorkPool,
    file: str,
    version: str | None = None,
    bucket: Bucket | None = None,
) -> Deployment:
    """The deployment of code in a bucket, or in the checkout that workers have.

    Code key, path and entrypoint agree: `<path>/<version>/<file>` and `<file>:<function>`.
    Code in a checkout has no version of its own; `prefect deploy` calls it by the commit.
    Raises InvalidInputError when the parameters do not fit the flow's.
    """
    parameters = settings.model_dump(mode="json")["parameters"]  # YAML has dates, JSON has not
    try:
        validate(parameters, seen.schema, raise_on_error=True, ignore_required=True)
    except (ValidationError, CircularSchemaRefError, ValueError) as problem:
        said = " ".join(str(problem).split())
        raise InvalidInputError(
            f"its deployment {settings.name} has wrong parameters: {said}"
        ) from problem
    job_variables: dict[str, Any] = {}
    if settings.image and "image" in pool.base_job_template["variables"]["properties"]:
        job_variables["image"] = settings.image
    fields: dict[str, Any] = {"path": None, "pull_steps": []}
    code = ""
    if bucket and version:
        path = code_folder(seen.name)
        code = f"{path}/{version}"
        fields = {"path": path, "version": version, "pull_steps": [bucket.pull_step(code)]}
        if pool.type == "process":
            job_variables["working_dir"] = None  # a new folder, for the code that is fetched
    fields |= {
        "entrypoint": f"{file}:{seen.function}",
        "parameters": parameters,
        "parameter_openapi_schema": seen.schema,
        "enforce_parameter_schema": True,
        "description": settings.description or seen.description or "",  # None would become "None"
        "tags": settings.labels,
        "work_pool_name": pool.name,
        "work_queue_name": settings.labels[0] if settings.labels else "default",
        "job_variables": job_variables,
    }
    schedules = [DeploymentScheduleCreate(schedule=settings.schedule)] if settings.schedule else []
    return Deployment(seen.name, settings.name, tuple(schedules), fields, code)


def _pages(read: Any) -> Any:
    """Everything that a listing of the server holds."""
    offset = 0
    while page := read(limit=PAGE, offset=offset):
        yield from page
        offset += PAGE
