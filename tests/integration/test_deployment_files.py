"""scripts/prefect_build: deployment.yaml and prefect.yaml, and the deployments made of them."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.schedules import CronSchedule

from nyc_taxi.errors import InvalidInputError
from scripts.prefect_build.code_store import flow_slug
from scripts.prefect_build.deployments import DeploymentFile, Overrides, read_deployments
from scripts.prefect_build.desired import build_deployment
from scripts.prefect_build.introspection import FlowInfo
from scripts.prefect_build.projects import FlowFile
from tests.support.project_factory import FLOW, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_flow_slugs_keep_letters_of_all_languages() -> None:
    names = ["Größe", "Grüße", "日本", "東京", "Ingest Data", "..", "a"]
    slugs = ["größe", "grüße", "日本", "東京", "ingest-data", "-", "a"]
    assert [flow_slug(name) for name in names] == slugs


def test_an_interval_has_a_fixed_start(checkout: Checkout) -> None:
    flow = FlowFile(checkout.root, checkout.flow("air", "quality"))
    checkout.write("flows/air/quality/deployment.yaml", "schedule: {interval: 3600}")
    assert read_deployments(flow, Overrides()) == read_deployments(flow, Overrides())


POOL = WorkPool(
    name="p",
    type="process",
    base_job_template={"variables": {"properties": {}}},
    default_queue_id=UUID(int=0),
)


def test_deployment_parameters_are_json(checkout: Checkout) -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
    info = FlowInfo("quality", "quality", None, schema)
    flow = FlowFile(checkout.root, checkout.flow("air", "quality"))
    checkout.write("flows/air/quality/deployment.yaml", "parameters: {day: 2021-02-03}")
    (settings,) = read_deployments(flow, Overrides())
    fields = build_deployment(info, settings, POOL, "flow.py").fields
    assert fields["parameters"] == {"day": "2021-02-03"}
    wrong = settings.model_copy(update={"parameters": {"day": 3}})
    with pytest.raises(
        InvalidInputError, match=r"deployment default has invalid parameters: .*'day'"
    ):
        build_deployment(info, wrong, POOL, "flow.py")


@pytest.mark.parametrize(
    ("keys", "expected"),
    {
        "": DeploymentFile(name="n"),
        ", schedules: [{cron: 0 0 * * *}]": DeploymentFile(
            name="n", schedule=CronSchedule(cron="0 0 * * *")
        ),
        ", schedules: [], work_pool: , parameters: ": DeploymentFile(name="n"),
        ", schedules: [{cron: 0 0 * * *}, {cron: 0 1 * * *}]": "schedule: ",
        ", work_pool: {name: p, job_variables: {}}": "work_pool: ",
        ", concurrency_limit: 1": "concurrency_limit: ",
    }.items(),
)
def test_prefect_yaml_is_read_and_unsupported_keys_are_rejected(
    keys: str, expected: DeploymentFile | str, checkout: Checkout
) -> None:
    path = checkout.write("flows/course.py", FLOW.format(name="course", function="course"))
    entry = f"{{entrypoint: flows/course.py:course, name: n{keys}}}"
    checkout.write("prefect.yaml", f"deployments:\n- {entry}\n- {{name: of no file}}")
    flow = FlowFile(checkout.root, path)
    if isinstance(expected, str):
        with pytest.raises(InvalidInputError, match=f"^prefect.yaml: {expected}"):
            read_deployments(flow, Overrides())
    else:
        complete = expected.model_copy(update={"flow": "course", "work_pool": "process-pool"})
        assert read_deployments(flow, Overrides()) == [complete]
