"""Work pools of containers: saved and rejected settings, and an ECS task that a worker starts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest
from prefect import flow
from prefect.blocks.fields import SecretDict
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, temporary_settings
from prefect.variables import Variable
from prefect_aws import AwsCredentials
from prefect_docker.worker import DockerWorkerJobConfiguration
from prefect_gcp import GcpCredentials
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerJobV2Configuration

from blocks.make_cloud_run_pool import main as cloud_run
from blocks.make_docker_block import main as docker_pool
from blocks.make_ecs_pool import main as ecs
from blocks.make_process_pool import main as process_pool
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.orchestration.work_pools import DOCKER_FLOW_POOL, JOB_COMMAND, holds_credentials
from tests.support.aws import moto_server
from tests.support.processes import ROOT, start

API = "https://prefect.example.com/api"
IMAGE = "ghcr.io/you/nyc-taxi@sha256:" + "0" * 64
ACCOUNT = "123456789012"
ECS = {
    "NYC_TAXI_IMAGE": IMAGE,
    "AWS_DEFAULT_REGION": "eu-west-1",
    "NYC_TAXI_ECS_CLUSTER": "taxis",
    "NYC_TAXI_ECS_EXECUTION_ROLE": f"arn:aws:iam::{ACCOUNT}:role/nyc-taxi-execution",
    "CLOUD_PREFECT_API_URL": API,
    "NYC_TAXI_LAKE": "gcs:zoom-gcs",
}
CLOUD_RUN = {
    "NYC_TAXI_IMAGE": IMAGE,
    "NYC_TAXI_CLOUD_RUN_REGION": "europe-west1",
    "NYC_TAXI_CLOUD_RUN_SERVICE_ACCOUNT": "nyc-taxi@p.iam.gserviceaccount.com",
    "CLOUD_PREFECT_API_URL": API,
    "NYC_TAXI_LAKE": "gcs:zoom-gcs",
}
Make = Callable[..., str]
IN_JOBS = {"PREFECT_API_URL": API, "NYC_TAXI_LAKE": "gcs:zoom-gcs", "NYC_TAXI_WAIT": "30.0"}
KEY = {
    "type": "service_account",
    "project_id": "nyc-taxi",
    "client_email": "flows@nyc-taxi.iam.gserviceaccount.com",
    "private_key": "in_clear",
    "token_uri": "https://oauth2.googleapis.com/token",
}


@pytest.fixture(autouse=True)
def empty_environment(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nyc_taxi.environment.ROOT", tmp_path)  # no .env
    for name in os.environ:
        if name.startswith(("AWS_", "NYC_TAXI_ECS_", "NYC_TAXI_CLOUD_RUN_")):
            monkeypatch.delenv(name)
    for name in ("PREFECT_API_KEY", "NYC_TAXI_IMAGE", "NYC_TAXI_ENV", "CLOUD_PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Make:
    """Run a script of blocks/ in an environment and return what it prints."""

    def run(main: Callable[[], None], **env: str) -> str:
        with monkeypatch.context() as given:
            for name, value in env.items():
                given.setenv(name, value)
            settings = (PREFECT_API_KEY, PREFECT_API_AUTH_STRING)
            with temporary_settings({s: env[s.name] for s in settings if s.name in env}):
                main()
        return capsys.readouterr().out

    return run


@pytest.fixture(params=["its own key", "no key"])
def google(request: pytest.FixtureRequest, gcs_block: object) -> Iterator[dict[str, Any]]:
    """The block that blocks/make_gcp_blocks.py saves; returns the pool's reference to it."""
    block = GcpCredentials(project="nyc-taxi")
    if request.param == "its own key":
        block.service_account_info = SecretDict(KEY)
    saved = block.save("zoom-gcp-creds", overwrite=True)
    project = {"project": "nyc-taxi"}
    yield {"$ref": {"block_document_id": str(saved)}} if block.service_account_info else project
    GcpCredentials.delete("zoom-gcp-creds")


def pool(name: str) -> WorkPool:
    with get_client(sync_client=True) as client:
        return client.read_work_pool(name)


def defaults(name: str) -> dict[str, Any]:
    variables = pool(name).base_job_template["variables"]["properties"]
    return {setting: facts.get("default") for setting, facts in variables.items()}


class TestEcs:
    def test_pool_with_required_settings_only(self, make: Make) -> None:
        assert make(ecs, **ECS) == (
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

    def test_pool_with_all_settings_contains_no_key(self, make: Make) -> None:
        make(
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

    def test_pool_is_updated_in_place_and_loses_removed_settings(self, make: Make) -> None:
        make(ecs, **ECS, NYC_TAXI_ECS_CPU="512")
        first = pool("ecs-pool")
        make(ecs, **ECS, NYC_TAXI_ECS_CPU="512")
        again = pool("ecs-pool")
        assert again.id == first.id
        assert again.base_job_template == first.base_job_template
        make(ecs, **ECS)
        assert defaults("ecs-pool")["cpu"] == 1024

    def test_keys_in_the_credentials_block_are_kept(self, make: Make) -> None:
        AwsCredentials(aws_access_key_id="mine", region_name="us-east-1").save(
            "aws", overwrite=True
        )
        make(ecs, **ECS)
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
    def test_a_missing_setting_is_reported(self, make: Make, name: str) -> None:
        with pytest.raises(
            InvalidInputError, match=rf"^{name} is not set; set it in \.env \(see \.env\.ex"
        ):
            make(ecs, **{**ECS, name: ""})

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
        self, make: Make, env: dict[str, str], message: str
    ) -> None:
        with pytest.raises(InvalidInputError) as rejected:
            make(ecs, **{**ECS, **env})
        assert message in str(rejected.value)
        assert "\n" not in str(rejected.value)


class TestCloudRun:
    def test_pool_with_required_settings_only(self, make: Make, google: dict[str, Any]) -> None:
        assert make(cloud_run, **CLOUD_RUN) == (
            f"work pool cloud-run-pool: jobs of {IMAGE} in the project nyc-taxi, europe-west1\n"
        )
        found = defaults("cloud-run-pool")
        assert pool("cloud-run-pool").type == "cloud-run-v2"
        given = {
            "credentials": google,
            "image": IMAGE,
            "region": "europe-west1",
            "service_account_name": "nyc-taxi@p.iam.gserviceaccount.com",
            "cpu": "1000m",
            "command": JOB_COMMAND,
            "memory": "4Gi",
            "timeout": 3600,
            "prefect_api_key_secret": None,
            "env": {
                "PREFECT_API_URL": API,
                "NYC_TAXI_LAKE": "gcs:zoom-gcs",
                "NYC_TAXI_WAIT": "30.0",
            },
        }
        assert {setting: found[setting] for setting in given} == given

    def test_pool_is_updated_in_place_and_contains_no_key(
        self, make: Make, google: dict[str, Any]
    ) -> None:
        env = {
            **CLOUD_RUN,
            "NYC_TAXI_CLOUD_RUN_API_KEY_SECRET": "prefect-api-key",
            "PREFECT_API_KEY": "pnu_in_clear",
        }
        make(cloud_run, **env)
        first = pool("cloud-run-pool")
        make(cloud_run, **env)
        again = pool("cloud-run-pool")
        assert again.id == first.id
        assert again.base_job_template == first.base_job_template
        assert defaults("cloud-run-pool")["prefect_api_key_secret"] == {
            "secret": "prefect-api-key",
            "version": "latest",
        }
        assert "in_clear" not in again.model_dump_json()

    @pytest.mark.parametrize("google", ["no key"], indirect=True)
    @pytest.mark.parametrize(
        ("env", "message"),
        [
            ({"NYC_TAXI_CLOUD_RUN_REGION": ""}, "NYC_TAXI_CLOUD_RUN_REGION is not set"),
            ({"NYC_TAXI_CLOUD_RUN_SERVICE_ACCOUNT": ""}, "_SERVICE_ACCOUNT is not set"),
            ({"PREFECT_API_KEY": "k"}, "NYC_TAXI_CLOUD_RUN_API_KEY_SECRET is required"),
            ({"NYC_TAXI_CLOUD_RUN_MEMORY": "2 GB"}, "field 'memory'. Failure reason: '2 GB'"),
            ({"NYC_TAXI_CLOUD_RUN_TIMEOUT": "1h"}, "field 'timeout'. Failure reason: '1h'"),
        ],
    )
    def test_an_invalid_setting_is_a_one_line_error(
        self, make: Make, google: object, env: dict[str, str], message: str
    ) -> None:
        with pytest.raises(InvalidInputError) as rejected:
            make(cloud_run, **{**CLOUD_RUN, **env})
        assert message in str(rejected.value)
        assert "\n" not in str(rejected.value)

    def test_a_missing_credentials_block_is_reported(self, make: Make) -> None:
        with pytest.raises(
            InvalidInputError, match="/zoom-gcp-creds does not exist; run: python blocks/"
        ):
            make(cloud_run, **CLOUD_RUN)


AUTH = "PREFECT_API_AUTH_STRING"
SIGNED = "https://me:in_clear@months.example/trips?sig=in_clear"
SECRETS = {
    "NYC_TAXI_HASH_KEY": "hash_key_in_clear",
    "NYC_TAXI_OPEN_METEO_KEY": "meteo_key_in_clear",
    "NYC_TAXI_SOURCE_URL": SIGNED,
    "NYC_TAXI_WEATHER_URL": SIGNED,
}


class TestSecrets:
    """Jobs get the secret settings, and no work pool contains one in plain text."""

    def test_docker_pool_refers_to_secret_blocks(self, make: Make) -> None:
        make(docker_pool, **SECRETS)
        saved = pool("docker-pool")
        assert "in_clear" not in saved.model_dump_json()
        configuration = asyncio.run(
            DockerWorkerJobConfiguration.from_template_and_values(saved.base_job_template, {})
        )
        assert SECRETS.items() <= configuration.env.items()

    def test_a_source_url_without_credentials_is_a_plain_setting(self, make: Make) -> None:
        make(docker_pool, NYC_TAXI_SOURCE_URL="https://months.example/{color}/trips")
        env = defaults("docker-pool")["env"]
        assert env["NYC_TAXI_SOURCE_URL"] == "https://months.example/{color}/trips"
        assert "NYC_TAXI_HASH_KEY" not in env

    def test_local_paths_are_not_passed_to_containers(self, make: Make, tmp_path: Path) -> None:
        make(docker_pool, NYC_TAXI_SOURCE_URL=str(tmp_path), NYC_TAXI_LAKE=f"local:{tmp_path}")
        assert not {"NYC_TAXI_SOURCE_URL", "NYC_TAXI_LAKE"} & set(defaults("docker-pool")["env"])

    @pytest.mark.parametrize(
        ("main", "env"),
        [
            (docker_pool, {"DOCKER_PREFECT_API_URL": "http://me:in_clear@server/api"}),
            (ecs, ECS | {"CLOUD_PREFECT_API_URL": "https://me:in_clear@prefect.example/api"}),
            (
                cloud_run,
                CLOUD_RUN | {"CLOUD_PREFECT_API_URL": "https://prefect.example/?key=in_clear"},
            ),
        ],
    )
    def test_a_password_in_the_api_url_is_rejected(
        self, make: Make, main: Callable[[], None], env: dict[str, str]
    ) -> None:
        with pytest.raises(
            InvalidInputError, match=r"_PREFECT_API_URL contains a user, a password or"
        ) as no:
            make(main, **env)
        assert "in_clear" not in str(no.value)

    @pytest.mark.parametrize("google", ["no key"], indirect=True)
    @pytest.mark.parametrize("kind", ["ECS", "CLOUD_RUN"])
    def test_cloud_pools_require_a_reference_for_each_secret(
        self, make: Make, google: object, kind: str
    ) -> None:
        main, env = {"ECS": (ecs, ECS), "CLOUD_RUN": (cloud_run, CLOUD_RUN)}[kind]
        auth = {AUTH: "me:in_clear"}
        for secret in (*SECRETS.items(), *auth.items()):
            with pytest.raises(InvalidInputError) as rejected:
                make(main, **env, **dict([secret]))
            assert f"refer to it in NYC_TAXI_{kind}_SECRETS, such as NYC_TAXI_HASH" in str(
                rejected.value
            )
            assert "in_clear" not in str(rejected.value)
        with pytest.raises(
            InvalidInputError, match=f"NYC_TAXI_{kind}_SECRETS is not a list of NAME=SECRET"
        ):
            make(main, **env, **{f"NYC_TAXI_{kind}_SECRETS": "nyc-taxi-hash-key"})

    @pytest.mark.parametrize("google", ["no key"], indirect=True)
    def test_cloud_run_jobs_read_secrets_from_the_secret_manager(
        self, make: Make, google: object
    ) -> None:
        names = ",\n".join([*(f"{name}=secret-{name}" for name in SECRETS), f"{AUTH}=auth"])
        given = {**SECRETS, AUTH: "me:in_clear"}
        make(cloud_run, **CLOUD_RUN, **given, NYC_TAXI_CLOUD_RUN_SECRETS=names)
        saved = pool("cloud-run-pool")
        assert "in_clear" not in saved.model_dump_json()
        configuration = asyncio.run(
            CloudRunWorkerJobV2Configuration.from_template_and_values(saved.base_job_template, {})
        )
        found = {name: facts.secret for name, facts in configuration.env_from_secrets.items()}
        assert found == {name: f"secret-{name}" for name in SECRETS}
        auth = configuration.prefect_api_auth_string_secret
        assert auth and auth.secret == "auth"

    @pytest.mark.parametrize(
        ("url", "secret"),
        [
            ("https://d37ci6vzurychx.cloudfront.net/trip-data", False),
            ("https://me@host/x", True),
            ("https://:pw@host", True),
            ("https://host/x?download=1", True),
            ("http://host:8009/{color}/{color}_{year}-{month:02}.parquet", False),
            ("https://host/a@b", False),
            ("/home/me@work/trips?", False),
        ],
    )
    def test_holds_credentials_recognizes_urls(self, url: str, secret: bool) -> None:
        assert holds_credentials(url) is secret


def test_docker_flow_moves_to_an_existing_pool(make: Make) -> None:
    """If its pool was deleted, make_process_pool.py sets its own pool and says so."""
    make(docker_pool)
    assert make(process_pool).startswith("work pool process-pool")
    assert Variable.get(DOCKER_FLOW_POOL) == "docker-pool"
    with get_client(sync_client=True) as client:
        client.delete_work_pool("docker-pool")
    message = "docker-flow now runs in process-pool: the work pool docker-pool no longer exists\n"
    assert make(process_pool).startswith(message)
    assert Variable.get(DOCKER_FLOW_POOL) == "process-pool"
    assert "docker-flow" not in make(process_pool)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Emulated AWS with a cluster and a default VPC; it runs no containers."""
    with moto_server() as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        boto3.Session().client("ecs").create_cluster(clusterName="taxis")
        yield env


@pytest.mark.parametrize("script", ["make_ecs_pool", "make_cloud_run_pool", "make_docker_block"])
def test_an_invalid_environment_name_is_a_one_line_error(script: str) -> None:
    with start(f"blocks/{script}.py", NYC_TAXI_ENV="No Name") as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert (
        output
        == "error: 'No Name' is not a valid environment name; use a-z, 0-9, - and _, such as prod\n"
    )


@pytest.mark.slow
def test_an_unreachable_server_is_a_one_line_error() -> None:
    with start("blocks/make_process_pool.py", PREFECT_API_URL="http://127.0.0.1:9/api") as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert output.startswith("error: the Prefect server at http://127.0.0.1:9/api does not respond")
    assert output.count("\n") == 1


@flow
def in_a_task() -> None:
    pass


@pytest.mark.slow
def test_ecs_worker_starts_a_task_of_the_image(make: Make, aws: dict[str, str]) -> None:
    secret = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/DataFlows/prod/PREFECT_API_KEY"
    hash_key = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/HASH_KEY"
    auth = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/AUTH"
    make(
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
