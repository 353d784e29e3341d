"""The ECS pool: saved and rejected settings, and a task that its worker starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import cast
from uuid import uuid4

import boto3
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect_aws import AwsCredentials

from blocks.make_ecs_pool import main as ecs
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.orchestration.work_pools import JOB_COMMAND
from tests.support.aws import moto_server
from tests.support.processes import ROOT
from tests.support.work_pools import ACCOUNT, API, ECS, IMAGE, SavePool, defaults, pool


class TestEcs:
    def test_pool_with_required_settings_only(self, save_pool: SavePool) -> None:
        assert save_pool(ecs, **ECS) == (
            f"work pool ecs-pool: tasks of {IMAGE} in the cluster taxis, eu-west-1\n"
        )
        block = cast(AwsCredentials, AwsCredentials.load("aws"))
        assert block.region_name == "eu-west-1"
        found = defaults("ecs-pool")
        assert pool("ecs-pool").type == "ecs"
        assert found["aws_credentials"] == {
            "$ref": {"block_document_id": str(block._block_document_id)}
        }
        given = {
            "image": IMAGE,
            "cluster": "taxis",
            "command": JOB_COMMAND,
            "execution_role_arn": ECS["NYC_TAXI_ECS_EXECUTION_ROLE"],
            "task_role_arn": None,
            "vpc_id": None,
            "network_configuration": None,
            "cpu": 1024,
            "memory": 4096,
            "launch_type": "FARGATE",
            "prefect_api_key_secret_arn": None,
            "env": {
                "PREFECT_API_URL": API,
                "NYC_TAXI_LAKE": "gcs:zoom-gcs",
                "NYC_TAXI_WAIT": "30.0",
            },
        }
        assert {setting: found[setting] for setting in given} == given

    def test_pool_with_all_settings_contains_no_key(self, save_pool: SavePool) -> None:
        save_pool(
            ecs,
            **ECS,
            NYC_TAXI_ECS_TASK_ROLE="arn:aws:iam::1:role/task",
            NYC_TAXI_ECS_VPC="vpc-1",
            NYC_TAXI_ECS_SUBNETS="subnet-1, subnet-2",
            NYC_TAXI_ECS_SECURITY_GROUPS="sg-1",
            NYC_TAXI_ECS_CPU="2048",
            NYC_TAXI_ECS_MEMORY="8192",
            NYC_TAXI_ECS_API_KEY_SECRET="arn:aws:ssm:r:1:parameter/key",
            PREFECT_API_KEY="pnu_in_clear",
            POSTGRES_URL="postgresql://me:in_clear@host/db",
        )
        found = defaults("ecs-pool")
        given = {
            "task_role_arn": "arn:aws:iam::1:role/task",
            "vpc_id": "vpc-1",
            "network_configuration": {
                "subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "ENABLED",
            },
            "cpu": 2048,
            "memory": 8192,
            "prefect_api_key_secret_arn": "arn:aws:ssm:r:1:parameter/key",
        }
        assert {setting: found[setting] for setting in given} == given
        saved = pool("ecs-pool").model_dump_json()
        assert "in_clear" not in saved
        assert "****" not in saved

    def test_pool_is_updated_in_place_and_loses_removed_settings(self, save_pool: SavePool) -> None:
        save_pool(ecs, **ECS, NYC_TAXI_ECS_CPU="512")
        first = pool("ecs-pool")
        save_pool(ecs, **ECS, NYC_TAXI_ECS_CPU="512")
        again = pool("ecs-pool")
        assert again.id == first.id
        assert again.base_job_template == first.base_job_template
        save_pool(ecs, **ECS)
        assert defaults("ecs-pool")["cpu"] == 1024

    def test_keys_in_the_credentials_block_are_kept(self, save_pool: SavePool) -> None:
        AwsCredentials(aws_access_key_id="mine", region_name="us-east-1").save(
            "aws", overwrite=True
        )
        save_pool(ecs, **ECS)
        block = cast(AwsCredentials, AwsCredentials.load("aws"))
        assert (block.aws_access_key_id, block.region_name) == ("mine", "eu-west-1")
        AwsCredentials.delete("aws")

    @pytest.mark.parametrize(
        "name",
        [
            "NYC_TAXI_IMAGE",
            "AWS_DEFAULT_REGION",
            "NYC_TAXI_ECS_CLUSTER",
            "NYC_TAXI_ECS_EXECUTION_ROLE",
        ],
    )
    def test_a_missing_setting_is_reported(self, save_pool: SavePool, name: str) -> None:
        with pytest.raises(
            InvalidInputError, match=rf"^{name} is not set; set it in \.env \(see \.env\.ex"
        ):
            save_pool(ecs, **{**ECS, name: ""})

    @pytest.mark.parametrize(
        ("env", "message"),
        [
            ({"CLOUD_PREFECT_API_URL": ""}, "/api is a loopback address, unreachable from"),
            (
                {"CLOUD_PREFECT_API_URL": "http://localhost/api"},
                "localhost/api is a loopback address",
            ),
            ({"PREFECT_API_KEY": "k"}, "NYC_TAXI_ECS_API_KEY_SECRET is required"),
            ({"NYC_TAXI_ECS_SUBNETS": "subnet-1"}, "NYC_TAXI_ECS_VPC is not set"),
            ({"NYC_TAXI_ECS_SECURITY_GROUPS": "sg-1"}, "requires NYC_TAXI_ECS_SUBNETS"),
            ({"NYC_TAXI_ECS_CPU": "1 vCPU"}, "field 'cpu'. Failure reason: '1 vCPU' is not"),
        ],
    )
    def test_an_invalid_setting_is_a_one_line_error(
        self, save_pool: SavePool, env: dict[str, str], message: str
    ) -> None:
        with pytest.raises(InvalidInputError) as rejected:
            save_pool(ecs, **{**ECS, **env})
        assert message in str(rejected.value)
        assert "\n" not in str(rejected.value)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Emulated AWS with a cluster and a default VPC; it runs no containers."""
    with moto_server() as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        boto3.Session().client("ecs").create_cluster(clusterName="taxis")
        yield env


@flow
def in_a_task() -> None:
    pass


@pytest.mark.slow
def test_ecs_worker_starts_a_task_of_the_image(save_pool: SavePool, aws: dict[str, str]) -> None:
    secret = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/DataFlows/prod/PREFECT_API_KEY"
    hash_key = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/HASH_KEY"
    auth = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/AUTH"
    save_pool(
        ecs,
        **ECS,
        NYC_TAXI_ECS_API_KEY_SECRET=secret,
        PREFECT_API_KEY="pnu_in_clear",
        NYC_TAXI_HASH_KEY="hash_in_clear",
        NYC_TAXI_ECS_SECRETS=f"NYC_TAXI_HASH_KEY={hash_key},PREFECT_API_AUTH_STRING={auth}",
    )
    # moto requires the memory of each container; AWS Fargate requires only the task's.
    template = pool("ecs-pool").base_job_template
    definition = template["job_configuration"]["task_definition"]
    definition["containerDefinitions"][0]["memoryReservation"] = "{{ memory }}"
    with get_client(sync_client=True) as client:
        client.update_work_pool("ecs-pool", WorkPoolUpdate(base_job_template=template))
        deployment = client.create_deployment(
            client.create_flow(in_a_task),
            f"in-a-task-{uuid4().hex[:8]}",
            entrypoint="flows/in_a_task.py:in_a_task",
            work_pool_name="ecs-pool",
        )
        run = client.create_flow_run_from_deployment(deployment)
    worker = subprocess.run(
        [sys.executable, "-m", "prefect", "worker", "start"]
        + ["--pool", "ecs-pool", "--type", "ecs", "--run-once", "--install-policy", "never"],
        cwd=ROOT,
        env={
            **os.environ,
            "PREFECT_API_KEY": "pnu_in_clear",
            "PREFECT_API_AUTH_STRING": "me:in_clear",
            "NYC_TAXI_HASH_KEY": "hash_in_clear",
            "PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_ENABLED": "false",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = worker.stdout + worker.stderr
    cloud = boto3.Session().client("ecs")
    tasks = cloud.list_tasks(cluster="taxis")["taskArns"]
    assert len(tasks) == 1, output
    (task,) = cloud.describe_tasks(cluster="taxis", tasks=tasks)["tasks"]
    name = task["taskDefinitionArn"]
    definition = cloud.describe_task_definition(taskDefinition=name)["taskDefinition"]
    assert definition["requiresCompatibilities"] == ["FARGATE"]
    (container,) = definition["containerDefinitions"]
    assert container["image"] == IMAGE
    assert {entry["name"]: entry["valueFrom"] for entry in container["secrets"]} == {
        "PREFECT_API_KEY": secret,
        "PREFECT_API_AUTH_STRING": auth,
        "NYC_TAXI_HASH_KEY": hash_key,
    }
    (override,) = task["overrides"]["containerOverrides"]
    env = {entry["name"]: entry["value"] for entry in override["environment"]}
    assert env["PREFECT_API_URL"] == API
    assert env["NYC_TAXI_LAKE"] == "gcs:zoom-gcs"
    assert env["PREFECT__FLOW_RUN_ID"] == str(run.id)
    assert "in_clear" not in str(task) + str(definition)
