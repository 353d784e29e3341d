"""The deployment that a flow and its settings result in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.utilities.schema_tools import CircularSchemaRefError, ValidationError, validate

from nyc_taxi.errors import InvalidInputError

from .buckets import Bucket
from .code_store import flow_folder
from .deployments import DeploymentFile
from .introspection import FlowInfo

IN_PLACE = [{"prefect.deployments.steps.set_working_directory": {"directory": "."}}]
"""Pull steps of code in the worker's folder, which Prefect would otherwise copy for each run."""


@dataclass(frozen=True)
class DesiredDeployment:
    """A deployment as configured, in the terms of Prefect's API."""

    flow_name: str
    name: str
    schedules: tuple[DeploymentScheduleCreate, ...]
    fields: dict[str, Any]
    code: str = ""
    """Folder of its version in the bucket; empty if the code is in the checkout."""

    def differences(self, existing: DeploymentResponse) -> list[str]:
        """Return the fields that differ; empty values are equal, be they None, "" or {}."""
        names = [
            name
            for name, value in self.fields.items()
            if (getattr(existing, name) or None) != (value or None)
        ]
        if [item.schedule for item in existing.schedules] != [s.schedule for s in self.schedules]:
            names.append("schedule")
        return names


def build_deployment(
    flow: FlowInfo,
    settings: DeploymentFile,
    pool: WorkPool,
    file: str,
    version: str | None = None,
    bucket: Bucket | None = None,
) -> DesiredDeployment:
    """Return the deployment of code in a bucket or, without one, in the workers' checkout.

    Key, path and entrypoint are consistent: `<path>/<version>/<file>` and `<file>:<function>`.
    Code in a checkout has no version here; `prefect deploy` sets it to the commit.
    Raises InvalidInputError if the parameters do not match the flow's schema.
    """
    parameters = settings.model_dump(mode="json")["parameters"]  # YAML has dates, JSON does not
    try:
        validate(parameters, flow.schema, raise_on_error=True, ignore_required=True)
    except (ValidationError, CircularSchemaRefError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise InvalidInputError(
            f"deployment {settings.name} has invalid parameters: {reason}"
        ) from problem
    job_variables: dict[str, Any] = {}
    if settings.image and "image" in pool.base_job_template["variables"]["properties"]:
        job_variables["image"] = settings.image
    fields: dict[str, Any] = {"path": None, "pull_steps": IN_PLACE}
    code = ""
    if bucket and version:
        path = flow_folder(flow.name)
        code = f"{path}/{version}"
        fields = {"path": path, "version": version, "pull_steps": [bucket.pull_step(code)]}
        if pool.type == "process":
            job_variables["working_dir"] = None  # a new folder, for the downloaded code
    fields |= {
        "entrypoint": f"{file}:{flow.function}",
        "parameters": parameters,
        "parameter_openapi_schema": flow.schema,
        "enforce_parameter_schema": True,
        "description": settings.description or flow.description or "",  # None would become "None"
        "tags": settings.labels,
        "work_pool_name": pool.name,
        "work_queue_name": settings.labels[0] if settings.labels else "default",
        "job_variables": job_variables,
    }
    schedules = [DeploymentScheduleCreate(schedule=settings.schedule)] if settings.schedule else []
    return DesiredDeployment(flow.name, settings.name, tuple(schedules), fields, code)
