"""Settings of a flow's deployments: `deployment.yaml`, prefect.yaml and the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nyc_taxi.errors import InvalidInputError

from .projects import FlowFile

FILE = "deployment.yaml"
DEFAULT_POOL = "process-pool"
INTERVAL_ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)


def _anchor_interval(schedule: Any) -> Any:
    """Set a fixed start; Prefect's default is now, which would change the schedule in each run."""
    if isinstance(schedule, IntervalSchedule) and "anchor_date" not in schedule.model_fields_set:
        return schedule.model_copy(update={"anchor_date": INTERVAL_ANCHOR})
    return schedule


Schedule = Annotated[
    CronSchedule | IntervalSchedule | RRuleSchedule | None,
    Field(union_mode="left_to_right"),
    AfterValidator(_anchor_interval),
]


class DeploymentFile(BaseModel):
    """One deployment of a flow in its `deployment.yaml`; every key is optional."""

    model_config = ConfigDict(extra="forbid")

    flow: str | None = None
    """Function, if flow.py defines several flows."""
    name: Annotated[str, Field(min_length=1, pattern="^[^/%&><]*$")] = "default"
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedule: Schedule = None
    work_pool: str | None = None
    labels: list[str] = Field(default_factory=list)
    """Tags; the first one is also the work queue."""
    image: str | None = None
    storage: Literal["bucket", "checkout"] = "bucket"
    """`checkout`: workers have the code, even if a bucket is given."""


@dataclass(frozen=True)
class Overrides:
    """Command-line options for all flows; the labels are added to those of each flow."""

    labels: list[str] = field(default_factory=list)
    work_pool: str | None = None
    image: str | None = None


def read_deployments(flow: FlowFile, overrides: Overrides) -> list[DeploymentFile]:
    """Return the deployments of a flow, or one with default settings if none are configured.

    `{{ prefect.variables.<name> }}` is kept; only the server can fill it in.
    """
    configured = _from_deployment_yaml(flow) if flow.project else _from_prefect_yaml(flow)
    return [
        settings.model_copy(
            update={
                "work_pool": overrides.work_pool or settings.work_pool or DEFAULT_POOL,
                "image": overrides.image or settings.image,
                "labels": list(dict.fromkeys([*overrides.labels, *settings.labels])),
            }
        )
        for settings in configured or [DeploymentFile()]
    ]


def _from_deployment_yaml(flow: FlowFile) -> list[DeploymentFile]:
    path = flow.folder / FILE
    content = read_yaml(path) if path.is_file() else None
    entries = content if isinstance(content, list) else [content] if content else []
    return _validate(entries, path, flow.root)


def _from_prefect_yaml(flow: FlowFile) -> list[DeploymentFile]:
    path = flow.root / "prefect.yaml"
    content = read_yaml(path) if path.is_file() else None
    entries = []
    for entry in (content or {}).get("deployments") or []:
        rest = dict(entry)
        file, _, function = str(rest.pop("entrypoint", "")).partition(":")
        if flow.root / file == flow.path:
            schedules = rest.pop("schedules", None)
            pool = rest.pop("work_pool", None)
            entries.append(
                {
                    "flow": function,
                    "name": rest.pop("name", None),
                    "parameters": rest.pop("parameters", None) or {},
                    "schedule": _only_value(schedules, 0),
                    "work_pool": _only_value(pool, "name"),
                    "labels": rest.pop("tags", None) or [],
                    **rest,  # keys that build.py does not support are rejected
                }
            )
    return _validate(entries, path, flow.root)


def _only_value(container: Any, key: str | int) -> Any:
    """Return a container's value at `key`; the whole container, to be rejected, if it has more."""
    keys = container and list(container if isinstance(container, dict) else range(len(container)))
    return container[key] if keys == [key] else container or None


def _validate(entries: list[Any], path: Path, root: Path) -> list[DeploymentFile]:
    place = path.relative_to(root)
    try:
        deployments = TypeAdapter(list[DeploymentFile]).validate_python(entries)
    except ValidationError as problem:
        # These are also reported for each kind of schedule that was not meant.
        unspecific = ("missing", "extra_forbidden")
        first = min(problem.errors(), key=lambda error: error["type"] in unspecific)
        key = ".".join(str(part) for part in first["loc"][1:2]) or "it"
        allowed = ", ".join(DeploymentFile.model_fields)
        raise InvalidInputError(
            f"{place}: {key}: {first['msg']}; allowed keys: {allowed}"
        ) from problem
    names = [deployment.name for deployment in deployments]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise InvalidInputError(
            f"{place}: two deployments are named {', '.join(duplicates)}; rename one"
        )
    return deployments


def read_yaml(path: Path) -> Any:
    """Return a file's content. Raises InvalidInputError for invalid YAML."""
    try:
        return yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: the 30th of February
        reason = " ".join(str(problem).split())
        raise InvalidInputError(f"{path.name} is not valid YAML: {reason}; fix it") from problem
