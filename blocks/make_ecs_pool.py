"""Save the work pool `ecs-pool`, which runs each flow run as a task of AWS ECS on Fargate.

Settings are read from the environment, `.env.<name>` with NYC_TAXI_ENV=<name>, or `.env`:

    NYC_TAXI_IMAGE, AWS_DEFAULT_REGION, NYC_TAXI_ECS_CLUSTER, NYC_TAXI_ECS_EXECUTION_ROLE
    NYC_TAXI_ECS_TASK_ROLE, NYC_TAXI_ECS_VPC, NYC_TAXI_ECS_SUBNETS, NYC_TAXI_ECS_SECURITY_GROUPS
    NYC_TAXI_ECS_CPU, NYC_TAXI_ECS_MEMORY, NYC_TAXI_ECS_API_KEY_SECRET, NYC_TAXI_ECS_SECRETS,
    CLOUD_PREFECT_API_URL

.env.example describes each of them. The worker finds its credentials in the same places as AWS's
own tools; the block `aws-credentials/aws` has the region, and keys only if you add them.
"""

import os
from typing import Any, cast

from nyc_taxi.cli import script

from prefect_aws import AwsCredentials

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.orchestration.work_pools import (
    JOB_COMMAND,
    api_for_jobs,
    api_key_secret,
    block_reference,
    flow_settings,
    integer_setting,
    required_setting,
    save_pool,
    secret_references,
)

POOL = "ecs-pool"
CREDENTIALS = "aws"


def network() -> dict[str, Any] | None:
    """Return the network configuration; None for all subnets and the default group of the VPC."""
    subnets, groups = (
        os.environ.get(f"NYC_TAXI_ECS_{name}", "").replace(",", " ").split()
        for name in ("SUBNETS", "SECURITY_GROUPS")
    )
    if groups and not subnets:
        raise InvalidInputError(
            "NYC_TAXI_ECS_SECURITY_GROUPS requires NYC_TAXI_ECS_SUBNETS; set both"
        )
    if not subnets:
        return None
    required_setting("NYC_TAXI_ECS_VPC")
    return {"subnets": subnets, "securityGroups": groups, "assignPublicIp": "ENABLED"}


def credentials(region: str) -> dict[str, Any]:
    """Set the region of the block, keep its other fields, and return a reference to it."""
    try:
        block = cast(AwsCredentials, AwsCredentials.load(CREDENTIALS))
    except ValueError:
        block = AwsCredentials()
    block.region_name = region
    return block_reference(block.save(CREDENTIALS, overwrite=True))


def secrets() -> dict[str, str]:
    return secret_references(
        "NYC_TAXI_ECS_SECRETS",
        "NYC_TAXI_HASH_KEY=arn:aws:ssm:REGION:ACCOUNT:parameter/DataFlows/prod/HASH_KEY",
    )


def main() -> None:
    image = required_setting("NYC_TAXI_IMAGE")
    region = required_setting("AWS_DEFAULT_REGION")
    cluster = required_setting("NYC_TAXI_ECS_CLUSTER")
    references = secrets()
    auth_string = references.pop("PREFECT_API_AUTH_STRING", None)
    pairs = [{"name": name, "valueFrom": secret} for name, secret in sorted(references.items())]

    def add_secrets(configuration: dict[str, Any]) -> None:
        configuration["task_definition"]["containerDefinitions"][0]["secrets"] = pairs

    jobs: dict[str, Any] = {
        "image": image,
        "command": JOB_COMMAND,
        "cluster": cluster,
        "execution_role_arn": required_setting("NYC_TAXI_ECS_EXECUTION_ROLE"),
        "task_role_arn": os.environ.get("NYC_TAXI_ECS_TASK_ROLE") or None,
        "vpc_id": os.environ.get("NYC_TAXI_ECS_VPC") or None,
        "network_configuration": network(),
        "cpu": integer_setting("NYC_TAXI_ECS_CPU", 1024),
        "memory": integer_setting("NYC_TAXI_ECS_MEMORY", 4096),
        "prefect_api_key_secret_arn": api_key_secret(
            "NYC_TAXI_ECS_API_KEY_SECRET",
            "arn:aws:ssm:REGION:ACCOUNT:parameter/DataFlows/prod/PREFECT_API_KEY",
        ),
        "prefect_api_auth_string_secret_arn": auth_string,
        "env": {"PREFECT_API_URL": api_for_jobs(), **flow_settings()},
        "configure_cloudwatch_logs": True,
        "match_latest_revision_in_family": True,  # else each start of the worker adds one
    }
    save_pool(POOL, "ecs", add_secrets, **jobs, aws_credentials=credentials(region))
    print(f"work pool {POOL}: tasks of {image} in the cluster {cluster}, {region}")


if __name__ == "__main__":
    script(main)
