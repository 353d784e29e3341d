"""Values stored in the AWS Parameter Store, such as `ssm:/DataFlows/{environment}/API_KEY`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from nyc_taxi.errors import InvalidInputError

SSM_PREFIX = "ssm:"


def resolve_parameters(stored: dict[str, str], environment: str | None) -> dict[str, str]:
    """Return variable -> value of the AWS parameter that it refers to."""
    for variable, path in stored.items():
        if "{environment}" in path and not environment:
            raise InvalidInputError(
                f"{variable}={SSM_PREFIX}{path} needs an environment; "
                "set NYC_TAXI_ENV, for example NYC_TAXI_ENV=prod"
            )
    paths = {v: path.replace("{environment}", environment or "") for v, path in stored.items()}
    values = _fetch_parameters(paths.values())
    if missing := sorted(set(paths.values()) - set(values)):
        raise InvalidInputError(
            f"the AWS Parameter Store has no {', '.join(missing)} in this account and region; "
            f"create it: aws ssm put-parameter --type SecureString --name {missing[0]} --value ..."
        )
    return {variable: values[path] for variable, path in paths.items()}


def _fetch_parameters(paths: Iterable[str]) -> dict[str, str]:
    """Return path -> value from the AWS Parameter Store, in batches of 10 (its limit)."""
    import boto3  # imported lazily: most users do not need it
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        ProfileNotFound,
    )

    names = sorted(set(paths))
    fixes = {
        NoCredentialsError: "no AWS credentials were found; set AWS_PROFILE, or run: aws configure",
        NoRegionError: "no AWS region is set; set AWS_DEFAULT_REGION, or a region in the profile",
        ProfileNotFound: f"the AWS profile {os.environ.get('AWS_PROFILE')} does not exist; "
        "correct AWS_PROFILE, or run: aws configure --profile NAME",
    }
    values: dict[str, str] = {}
    try:
        config = Config(connect_timeout=10, read_timeout=20, retries={"max_attempts": 3})
        store = boto3.Session().client("ssm", config=config)
        for first in range(0, len(names), 10):
            response = store.get_parameters(Names=names[first : first + 10], WithDecryption=True)
            values |= {found["Name"]: found["Value"] for found in response["Parameters"]}
    except (BotoCoreError, ClientError) as problem:
        reason = fixes.get(type(problem), " ".join(str(problem).split()))
        raise InvalidInputError(
            f"{names[0]} cannot be read from the AWS Parameter Store: {reason}"
        ) from problem
    return values
