"""Work pools: where a deployment's runs are carried out. Saving one again changes it in place."""

import asyncio
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.variables import Variable
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

DOCKER_FLOW_POOL = "docker_flow_pool"
"""The Prefect variable that says which pool runs docker-flow; prefect.yaml reads it."""


def save_pool(name: str, kind: str, **defaults: Any) -> None:
    """A pool of this kind (process, docker), with our defaults for its jobs' settings."""
    template = asyncio.run(get_default_base_job_template_for_infrastructure_type(kind))
    assert template is not None, f"the package of {kind} workers is not installed"
    for setting, value in defaults.items():
        template["variables"]["properties"][setting]["default"] = value
    pool = WorkPoolCreate(name=name, type=kind, base_job_template=template)
    with get_client(sync_client=True) as client:
        client.create_work_pool(pool, overwrite=True)


def docker_flow_runs_in(pool: str, overwrite: bool) -> None:
    if overwrite or Variable.get(DOCKER_FLOW_POOL) is None:
        Variable.set(DOCKER_FLOW_POOL, pool, overwrite=True)
