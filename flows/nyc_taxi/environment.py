"""The values of an environment, such as dev or prod, for what is started outside a flow.

The environment itself comes first, then `.env.<name>`, then `.env`; empty means not set. A value
`ssm:/DataFlows/{environment}/PREFECT_API_KEY` is the name of a parameter in AWS's parameter store.

    python -m nyc_taxi.environment prod prefect worker start --pool ecs-pool
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable

from dotenv import dotenv_values

from nyc_taxi.errors import BadInput, NycTaxiError
from nyc_taxi.settings import ROOT

NAME = "NYC_TAXI_ENV"
STORED = "ssm:"
_OURS = ("NYC_TAXI_", "PREFECT_", "POSTGRES_", "AWS_", "REGISTRY_")


def load_environment(name: str | None = None) -> None:
    """Put the values into os.environ; without a name NYC_TAXI_ENV's environment, if that is set."""
    name = name or os.environ.get(NAME) or None
    given = _file(".env")
    if name:
        given |= _of_environment(name)
    for variable in [v for v in os.environ if v.startswith(_OURS) and not os.environ[v]]:
        del os.environ[variable]  # an empty PREFECT_API_URL or AWS_PROFILE is an error to others
    for variable, value in given.items():
        if not os.environ.get(variable):
            os.environ[variable] = value
    if name:
        os.environ[NAME] = name
    stored = {
        variable: os.environ[variable].removeprefix(STORED)
        for variable in os.environ
        if (variable in given or variable.startswith(_OURS))
        and os.environ[variable].startswith(f"{STORED}/")
    }
    if stored:
        os.environ.update(_fetched(stored, name))
    if prefect := sys.modules.get("prefect.context"):  # it has read its settings already
        prefect.refresh_global_settings_context()


def script(main: Callable[[], None]) -> None:
    """Run what a file of blocks/ does, in its environment; an error is one line, and exit 1."""
    import httpx  # a second that nobody pays who only loads an environment

    try:
        load_environment()
        main()
    except NycTaxiError as problem:
        sys.exit(f"error: {problem}")
    except httpx.TransportError as problem:
        sys.exit(
            f"error: the Prefect server at {os.environ.get('PREFECT_API_URL')} does not answer "
            f"({problem}); start it, or mend PREFECT_API_URL"
        )


def _file(name: str) -> dict[str, str]:
    try:
        found = dotenv_values(ROOT / name, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadInput(f"{ROOT / name} cannot be read: {problem}") from problem
    return {variable: value for variable, value in found.items() if value}


def _of_environment(name: str) -> dict[str, str]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise BadInput(f"{name!r} is no environment; names have a-z, 0-9, - and _, such as prod")
    if not (ROOT / f".env.{name}").is_file() and not os.environ.get("PREFECT_API_URL"):
        raise BadInput(
            f"the environment {name} has no file .env.{name}; copy .env.example to .env.{name} "
            "and write its PREFECT_API_URL there, or set PREFECT_API_URL"
        )
    return _file(f".env.{name}")


def _fetched(stored: dict[str, str], environment: str | None) -> dict[str, str]:
    """The values of the parameters that these variables name."""
    for variable, path in stored.items():
        if "{environment}" in path and not environment:
            raise BadInput(
                f"{variable}={STORED}{path} is of an environment, and none was named; "
                f"set {NAME}=dev, or prod"
            )
    paths = {v: path.replace("{environment}", environment or "") for v, path in stored.items()}
    values = _parameters(paths.values())
    if missing := sorted(set(paths.values()) - set(values)):
        raise BadInput(
            f"AWS's parameter store has no {', '.join(missing)} in this account and region; make "
            f"it: aws ssm put-parameter --type SecureString --name {missing[0]} --value ..."
        )
    return {variable: values[path] for variable, path in paths.items()}


def _parameters(paths: Iterable[str]) -> dict[str, str]:
    """What the parameter store holds of these, in calls of ten, which is all that it takes."""
    import boto3  # not for those who store nothing there
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        ProfileNotFound,
    )

    names = sorted(set(paths))
    mend = {
        NoCredentialsError: "there are no AWS credentials; set AWS_PROFILE, or run: aws configure",
        NoRegionError: "no region is known; set AWS_DEFAULT_REGION, or that of AWS_PROFILE",
        ProfileNotFound: f"there is no profile {os.environ.get('AWS_PROFILE')}; mend AWS_PROFILE, "
        "or run: aws configure --profile NAME",
    }
    values: dict[str, str] = {}
    try:
        patience = Config(connect_timeout=10, read_timeout=20, retries={"max_attempts": 3})
        store = boto3.Session().client("ssm", config=patience)
        for first in range(0, len(names), 10):
            answer = store.get_parameters(Names=names[first : first + 10], WithDecryption=True)
            values |= {found["Name"]: found["Value"] for found in answer["Parameters"]}
    except (BotoCoreError, ClientError) as problem:
        said = mend.get(type(problem), " ".join(str(problem).split()))
        raise BadInput(f"{names[0]} cannot be read from AWS's parameter store: {said}") from problem
    return values


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(
            "error: name an environment and a command, as in " + __doc__.splitlines()[-1].strip()
        )
    try:
        load_environment(sys.argv[1])
        os.execvp(sys.argv[2], sys.argv[2:])
    except (NycTaxiError, OSError) as problem:
        sys.exit(f"error: {problem}")
