"""How a flow's deployments shall be: its `deployment.yaml`, prefect.yaml, the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nyc_taxi.errors import InvalidInputError
from projects import FlowFile

FILE = "deployment.yaml"
DEFAULT_POOL = "process-pool"

START = datetime(2020, 1, 1, tzinfo=UTC)


def _anchored(schedule: Any) -> Any:
    """When an interval counts from: Prefect's now would be a new schedule each time."""
    if isinstance(schedule, IntervalSchedule) and "anchor_date" not in schedule.model_fields_set:
        return schedule.model_copy(update={"anchor_date": START})
    return schedule


Schedule = Annotated[
    CronSchedule | IntervalSchedule | RRuleSchedule | None,
    Field(union_mode="left_to_right"),
    AfterValidator(_anchored),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DeploymentFile(_Strict):
    """One deployment of a flow, as its `deployment.yaml` says; every key may be left out."""

    flow: str | None = None
    """The function, where flow.py holds several flows."""
    name: Annotated[str, Field(min_length=1, pattern="^[^/%&><]*$")] = "default"
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedule: Schedule = None
    work_pool: str | None = None
    labels: list[str] = Field(default_factory=list)
    """Tags; the first is the work queue as well."""
    image: str | None = None
    storage: Literal["bucket", "checkout"] = "bucket"
    """`checkout`: the code is where the worker runs, even when a bucket is given."""


@dataclass(frozen=True)
class Defaults:
    """What the command line says for all flows."""

    labels: list[str] = field(default_factory=list)
    work_pool: str | None = None
    image: str | None = None


def wanted_deployments(flow: FlowFile, defaults: Defaults) -> list[DeploymentFile]:
    """The deployments of a flow; one with default settings where nothing else is written down.

    `{{ prefect.variables.<name> }}` stays as it is written: only the server knows.
    """
    written = _metadata_path(flow) if flow.project else _in_prefect_yaml(flow)
    return [
        found.model_copy(
            update={
                "work_pool": defaults.work_pool or found.work_pool or DEFAULT_POOL,
                "image": defaults.image or found.image,
                "labels": list(dict.fromkeys([*defaults.labels, *found.labels])),
            }
        )
        for found in written or [DeploymentFile()]
    ]


def _metadata_path(flow: FlowFile) -> list[DeploymentFile]:
    path = flow.folder / FILE
    content = read_yaml(path) if path.is_file() else None
    deployments = content if isinstance(content, list) else [content] if content else []
    return _checked(deployments, path, flow.root)


def _in_prefect_yaml(flow: FlowFile) -> list[DeploymentFile]:
    path = flow.root / "prefect.yaml"
    content = read_yaml(path) if path.is_file() else None
    found = []
    for entry in (content or {}).get("deployments") or []:
        rest = dict(entry)
        file, _, function = str(rest.pop("entrypoint", "")).partition(":")
        if flow.root / file == flow.path:
            schedules = rest.pop("schedules", None)
            pool = rest.pop("work_pool", None)
            found.append(
                {
                    "flow": function,
                    "name": rest.pop("name", None),
                    "parameters": rest.pop("parameters", None) or {},
                    "schedule": _alone(schedules, 0),
                    "work_pool": _alone(pool, "name"),
                    "labels": rest.pop("tags", None) or [],
                    **rest,  # what build.py would lose is refused
                }
            )
    return _checked(found, path, flow.root)


def _alone(held: Any, key: str | int) -> Any:
    """The one thing that a list or a mapping holds; if it holds more, all of it, to be refused."""
    only = held and list(held if isinstance(held, dict) else range(len(held))) == [key]
    return held[key] if only else held or None


def _checked(entries: list[Any], path: Path, root: Path) -> list[DeploymentFile]:
    place = path.relative_to(root)
    try:
        deployments = TypeAdapter(list[DeploymentFile]).validate_python(entries)
    except ValidationError as problem:
        kinds = ("missing", "extra_forbidden")  # said of the kinds of schedule it is not
        first = min(problem.errors(), key=lambda error: error["type"] in kinds)
        key = ".".join(str(part) for part in first["loc"][1:2]) or "it"
        raise InvalidInputError(
            f"{place}: {key}: {first['msg']}; it may hold {', '.join(DeploymentFile.model_fields)}"
        ) from problem
    names = [deployment.name for deployment in deployments]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidInputError(
            f"{place}: two deployments are named {', '.join(twice)}; rename one"
        )
    return deployments


def read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: the 30th of February
        said = " ".join(str(problem).split())
        raise InvalidInputError(f"{path.name} is no YAML: {said}; mend it") from problem
