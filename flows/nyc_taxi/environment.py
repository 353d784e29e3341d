"""Environment variables for Prefect, the blocks and the scripts, per environment (dev, prod).

Precedence: environment variables, then `.env.<name>`, then `.env`. An empty value counts as unset.
A value such as `ssm:/DataFlows/{environment}/PREFECT_API_KEY` is read from the AWS Parameter Store.

    python -m nyc_taxi.environment prod prefect worker start --pool ecs-pool
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from io import StringIO
from pathlib import Path
from urllib.request import getproxies

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from nyc_taxi.errors import InvalidInputError, NycTaxiError
from nyc_taxi.parameter_store import SSM_PREFIX, resolve_parameters
from nyc_taxi.settings import ROOT, check_names

NAME = "NYC_TAXI_ENV"
_PREFIXES = ("NYC_TAXI_", "PREFECT_", "POSTGRES_", "AWS_", "REGISTRY_")
_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Seconds; the default of 20 is too short on a busy machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
_NOT_UTF8 = "is not valid UTF-8; save it as UTF-8"


def load_environment(name: str | None = None) -> None:
    """Load the variables of environment `name` (default: NYC_TAXI_ENV) into os.environ."""
    name = name or os.environ.get(NAME) or None
    given = read_env_file(ROOT / ".env")
    if name:
        given |= _read_environment_file(name)
    for variable in [v for v in os.environ if v.startswith(_PREFIXES) and not os.environ[v]]:
        del os.environ[variable]  # Prefect and boto3 reject an empty PREFECT_API_URL or AWS_PROFILE
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
        os.environ.update(resolve_parameters(stored, name))
    if prefect := sys.modules.get("prefect.context"):  # its settings are already loaded
        prefect.refresh_global_settings_context()


def prepare_for_prefect(load: bool = True) -> None:
    """Set the variables that Prefect reads at import. Call this before importing Prefect.

    `load=False` skips load_environment, so that `--help` reads nothing from AWS.
    """
    for path in (Path(".env"), ROOT / ".env"):  # Prefect reads the first, and warns if invalid
        read_env_file(path)
    if load:
        load_environment()
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if (ROOT / "prefect.toml").is_file():  # Prefect finds it only in the working directory
        home = os.environ.setdefault("PREFECT_HOME", str(ROOT / ".prefect"))
        os.environ.setdefault("PREFECT_PROFILES_PATH", str(Path(home) / "profiles.toml"))
    use_proxies()
    # temporary_server.check_home reports it in one line, if the folder is needed.
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory")


def use_proxies() -> None:
    """Export the proxies of the environment or the system for httpx; bypass them for localhost."""
    proxies = getproxies()  # from the environment, else from macOS or Windows
    given = [scheme for scheme in ("http", "https", "all") if proxies.get(scheme)]
    for scheme in given:
        from nyc_taxi.network import read_proxy  # imported lazily: httpx takes about a second

        url = read_proxy(f"{scheme.upper()}_PROXY", proxies[scheme]).url
        os.environ[f"{scheme}_proxy"] = os.environ[f"{scheme.upper()}_PROXY"] = url
    if given:
        bypassed = [host for host in proxies.get("no", "").split(",") if host.strip()]
        bypassed += [host for host in _LOOPBACK_HOSTS if host not in bypassed]
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(bypassed)


def read_env_file(path: Path) -> dict[str, str]:
    """Return the non-empty variables of a `.env` file; {} if it does not exist."""
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
        # Prefect would log hundreds of warnings about an error, and ignore `$env:PREFECT_HOME`.
        if line.error or _is_decorated(line.key or ""):
            raise InvalidInputError(
                f"{path}: line {line.original.line} is not NAME=VALUE, or has an unclosed "
                "quote; correct it, or comment it out with #"
            )
    found = dotenv_values(stream=StringIO(text))
    check_names(path, found)
    return {variable: value for variable, value in found.items() if value}


def _is_decorated(name: str) -> bool:
    """Return whether the name of a setting has other characters around it."""
    return any(prefix in name for prefix in _PREFIXES) and not _NAME.fullmatch(name)


def _read_environment_file(name: str) -> dict[str, str]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InvalidInputError(
            f"{name!r} is not a valid environment name; use a-z, 0-9, - and _, such as prod"
        )
    if not (ROOT / f".env.{name}").is_file() and not os.environ.get("PREFECT_API_URL"):
        raise InvalidInputError(
            f"the environment {name} has no file .env.{name}; copy .env.example to .env.{name} "
            "and set PREFECT_API_URL in it, or in the environment"
        )
    return read_env_file(ROOT / f".env.{name}")


if __name__ == "__main__":
    if sys.argv[1:2] in (["--help"], ["-h"]):
        sys.exit(print(__doc__))
    if len(sys.argv) < 3:
        sys.exit("error: give an environment and a command: " + __doc__.splitlines()[-1].strip())
    try:
        load_environment(sys.argv[1])
        os.execvp(sys.argv[2], sys.argv[2:])
    except (NycTaxiError, OSError) as problem:
        sys.exit(f"error: {problem}")
