"""The values of an environment, such as dev or prod, for what is started outside a flow.

The environment itself comes first, then `.env.<name>`, then `.env`; empty means not set. A value
`ssm:/DataFlows/{environment}/PREFECT_API_KEY` is the name of a parameter in AWS's parameter store.

    python -m nyc_taxi.environment prod prefect worker start --pool ecs-pool
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from urllib.request import getproxies

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from nyc_taxi.errors import InvalidInputError, NycTaxiError
from nyc_taxi.settings import ROOT

NAME = "NYC_TAXI_ENV"
SSM_PREFIX = "ssm:"
_PREFIXES = ("NYC_TAXI_", "PREFECT_", "POSTGRES_", "AWS_", "REGISTRY_")
_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",  # 20 are too few now and then
}
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
_NOT_UTF8 = "is not text in UTF-8; save it as UTF-8"


def load_environment(name: str | None = None) -> None:
    """Put the values into os.environ; without a name NYC_TAXI_ENV's environment, if that is set."""
    name = name or os.environ.get(NAME) or None
    given = read_env_file(ROOT / ".env")
    if name:
        given |= _read_environment_file(name)
    for variable in [v for v in os.environ if v.startswith(_PREFIXES) and not os.environ[v]]:
        del os.environ[variable]  # an empty PREFECT_API_URL or AWS_PROFILE is an error to others
    for variable, value in given.items():
        if not os.environ.get(variable):
            os.environ[variable] = value
    if name:
        os.environ[NAME] = name
    stored = {
        variable: os.environ[variable].removeprefix(SSM_PREFIX)
        for variable in os.environ
        if (variable in given or variable.startswith(_PREFIXES))
        and os.environ[variable].startswith(f"{SSM_PREFIX}/")
    }
    if stored:
        os.environ.update(_resolve_parameters(stored, name))
    if prefect := sys.modules.get("prefect.context"):  # it has read its settings already
        prefect.refresh_global_settings_context()


def prepare_for_prefect(load: bool = True) -> None:
    """Put into os.environ what Prefect reads when it is imported, wherever a script was started.

    With `load` the values of load_environment; without, as for a script's help, nothing is fetched.
    """
    for path in (Path(".env"), ROOT / ".env"):
        read_env_file(path)  # Prefect reads that of the working directory as well
    if load:
        load_environment()
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if (ROOT / "prefect.toml").is_file():  # Prefect itself finds it in the working directory only
        home = os.environ.setdefault("PREFECT_HOME", str(ROOT / ".prefect"))
        os.environ.setdefault("PREFECT_PROFILES_PATH", str(Path(home) / "profiles.toml"))
    use_proxies()
    # Whoever needs the folder is told in one line (temporary_server.check_home).
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory")


def use_proxies() -> None:
    """Make the proxies of this machine usable for httpx, and never ask them for this machine."""
    proxies = getproxies()  # those of the environment, else of macOS or Windows
    given = [scheme for scheme in ("http", "https", "all") if proxies.get(scheme)]
    for scheme in given:
        from nyc_taxi.network import read_proxy  # imports httpx, which others need not pay

        url = read_proxy(f"{scheme.upper()}_PROXY", proxies[scheme]).url
        os.environ[f"{scheme}_proxy"] = os.environ[f"{scheme.upper()}_PROXY"] = url
    if given:
        bypassed = [place for place in proxies.get("no", "").split(",") if place.strip()]
        bypassed += [place for place in _LOOPBACK_HOSTS if place not in bypassed]
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(bypassed)


def read_env_file(path: Path) -> dict[str, str]:
    """The values that a `.env` sets; none where there is no such file."""
    if not path.is_file():
        return {}
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InvalidInputError(f"{path} {_NOT_UTF8}") from problem
    except OSError as problem:
        raise InvalidInputError(f"{path} cannot be read: {problem.strerror}") from problem
    if "\0" in text:  # UTF-16 without a byte order mark
        raise InvalidInputError(f"{path} {_NOT_UTF8}")
    for line in parse_stream(StringIO(text)):
        if line.error:  # others leave it out, Prefect with hundreds of warnings
            raise InvalidInputError(
                f"{path}: line {line.original.line} is not NAME=VALUE, or a quote in it does not "
                "end; correct it, or make it a comment with #"
            )
    found = dotenv_values(stream=StringIO(text))
    return {variable: value for variable, value in found.items() if value}


def _read_environment_file(name: str) -> dict[str, str]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InvalidInputError(
            f"{name!r} is no environment; names have a-z, 0-9, - and _, such as prod"
        )
    if not (ROOT / f".env.{name}").is_file() and not os.environ.get("PREFECT_API_URL"):
        raise InvalidInputError(
            f"the environment {name} has no file .env.{name}; copy .env.example to .env.{name} "
            "and write its PREFECT_API_URL there, or set PREFECT_API_URL"
        )
    return read_env_file(ROOT / f".env.{name}")


def _resolve_parameters(stored: dict[str, str], environment: str | None) -> dict[str, str]:
    """The values of the parameters that these variables name."""
    for variable, path in stored.items():
        if "{environment}" in path and not environment:
            raise InvalidInputError(
                f"{variable}={SSM_PREFIX}{path} is of an environment, and none was named; "
                f"set {NAME}=dev, or prod"
            )
    paths = {v: path.replace("{environment}", environment or "") for v, path in stored.items()}
    values = _fetch_parameters(paths.values())
    if missing := sorted(set(paths.values()) - set(values)):
        raise InvalidInputError(
            f"AWS's parameter store has no {', '.join(missing)} in this account and region; make "
            f"it: aws ssm put-parameter --type SecureString --name {missing[0]} --value ..."
        )
    return {variable: values[path] for variable, path in paths.items()}


def _fetch_parameters(paths: Iterable[str]) -> dict[str, str]:
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
        config = Config(connect_timeout=10, read_timeout=20, retries={"max_attempts": 3})
        store = boto3.Session().client("ssm", config=config)
        for first in range(0, len(names), 10):
            answer = store.get_parameters(Names=names[first : first + 10], WithDecryption=True)
            values |= {found["Name"]: found["Value"] for found in answer["Parameters"]}
    except (BotoCoreError, ClientError) as problem:
        said = mend.get(type(problem), " ".join(str(problem).split()))
        raise InvalidInputError(
            f"{names[0]} cannot be read from AWS's parameter store: {said}"
        ) from problem
    return values


if __name__ == "__main__":
    if sys.argv[1:2] in (["--help"], ["-h"]):
        sys.exit(print(__doc__))
    if len(sys.argv) < 3:
        sys.exit(
            "error: name an environment and a command, as in " + __doc__.splitlines()[-1].strip()
        )
    try:
        load_environment(sys.argv[1])
        os.execvp(sys.argv[2], sys.argv[2:])
    except (NycTaxiError, OSError) as problem:
        sys.exit(f"error: {problem}")
