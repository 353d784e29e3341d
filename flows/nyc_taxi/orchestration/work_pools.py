"""Work pools that run the deployments. Saving a pool again updates it in place."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL
from prefect.utilities.schema_tools import ValidationError, validate
from prefect.variables import Variable
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type
from pydantic import SecretStr

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import settings
from nyc_taxi.urls import is_remote

DOCKER_FLOW_POOL = "docker_flow_pool"
"""Prefect variable with the work pool of docker-flow; read by prefect.yaml."""
JOB_COMMAND = "python /opt/prefect/docker/healthy.py 120 prefect flow-run execute"
"""Command of a job container. Unlike Prefect's own command it waits for the server (up to 120 s)
and, as process 1, handles the SIGTERM that stops a container."""


def save_pool(
    name: str,
    kind: str,
    configure: Callable[[dict[str, Any]], None] = lambda configuration: None,
    **defaults: Any,
) -> None:
    """Create or update a work pool with `defaults` for its job variables.

    `kind` is process, docker, ecs or cloud-run-v2. A default of None keeps Prefect's own.
    `configure` edits the parts of the job configuration that are not variables. Raises
    InvalidInputError for a value that the pool's schema rejects.
    """
    template = asyncio.run(get_default_base_job_template_for_infrastructure_type(kind))
    assert template is not None, f"the package of {kind} workers is not installed"
    given = {setting: value for setting, value in defaults.items() if value is not None}
    for setting, value in given.items():
        template["variables"]["properties"][setting]["default"] = value
    try:
        plain = {s: value for s, value in given.items() if not _is_block(value)}
        validate(plain, template["variables"], raise_on_error=True, ignore_required=True)
    except ValidationError as problem:
        reason = " ".join(str(problem).split())
        raise InvalidInputError(
            f"the work pool {name} cannot be saved: {reason}; see .env.example"
        ) from None
    configure(template["job_configuration"])
    pool = WorkPoolCreate(name=name, type=kind, base_job_template=template)
    with get_client(sync_client=True) as client:
        client.create_work_pool(pool, overwrite=True)


def block_reference(document: object) -> dict[str, Any]:
    """Return the value of a job variable that references a block document by its id."""
    return {"$ref": {"block_document_id": str(document)}}


def _is_block(value: object) -> bool:
    return isinstance(value, dict) and "$ref" in value


def set_docker_flow_pool(pool: str, overwrite: bool) -> None:
    """Set the work pool of docker-flow; without `overwrite`, keep one that is set and exists."""
    chosen = Variable.get(DOCKER_FLOW_POOL)
    if not overwrite and chosen is not None:
        with get_client(sync_client=True) as client:
            try:
                client.read_work_pool(str(chosen))
                return
            except ObjectNotFound:
                print(f"docker-flow now runs in {pool}: the work pool {chosen} no longer exists")
    Variable.set(DOCKER_FLOW_POOL, pool, overwrite=True)


def flow_settings() -> dict[str, str]:
    """Return the NYC_TAXI_ settings to pass to container jobs: no secrets and no local paths."""
    config = settings()
    given = {name: getattr(config, name) for name in sorted(config.model_fields_set)}
    return {
        name: str(value)
        for setting, value in given.items()
        if (name := f"NYC_TAXI_{setting.upper()}") not in secret_settings()
        and setting != "data_dir"
        and not (setting == "source_url" and not is_remote(value))
        and not isinstance(value, SecretStr)
        and not str(value).startswith(("local:", "duckdb:"))
    }


def secret_settings() -> dict[str, SecretStr]:
    """Return the secret settings that jobs need; a work pool would store them in plain text."""
    config = settings()
    found = {}
    for name in ("hash_key", "open_meteo_key"):
        if key := getattr(config, name):
            found[f"NYC_TAXI_{name.upper()}"] = key
    for name in ("source_url", "air_quality_url", "weather_url"):
        if name in config.model_fields_set and holds_credentials(url := getattr(config, name)):
            found[f"NYC_TAXI_{name.upper()}"] = SecretStr(url)
    return found


def holds_credentials(url: str) -> bool:
    """Return whether a URL contains a user, a password or a query (which may be a signature)."""
    _, separator, rest = url.partition("://")
    return bool(separator) and ("@" in rest.partition("/")[0] or "?" in rest)


def save_secret_blocks() -> dict[str, str]:
    """Save the secret settings as Secret blocks; return references that workers resolve."""
    references = {}
    for name, value in secret_settings().items():
        block = name.lower().replace("_", "-")
        Secret(value=value).save(block, overwrite=True)
        references[name] = f"{{{{ prefect.blocks.secret.{block} }}}}"
    return references


def secret_references(variable: str, example: str) -> dict[str, str]:
    """Parse `variable`: comma-separated NAME=SECRET pairs that cloud jobs read secrets from.

    Raises InvalidInputError if a secret setting has no pair.
    """
    pairs = [pair.strip() for pair in re.split(r"[,\n]", os.environ.get(variable) or "")]
    given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(given) != len([pair for pair in pairs if pair]):
        raise InvalidInputError(f"{variable} is not a list of NAME=SECRET, such as {example}")
    wanted: Mapping[str, object] = secret_settings()
    if PREFECT_API_AUTH_STRING.value():
        wanted = {**wanted, "PREFECT_API_AUTH_STRING": None}
    if missing := sorted(set(wanted) - set(given)):
        raise InvalidInputError(
            f"{missing[0]} is a secret, and a work pool would store it in plain text; store it in "
            f"the cloud's secret manager and refer to it in {variable}, such as {example}"
        )
    return given


def reject_credentials(name: str, url: str) -> str:
    """Return `url`; raise InvalidInputError if it contains credentials."""
    if holds_credentials(url):
        raise InvalidInputError(
            f"{name} contains a user, a password or a query, which every job would expose in plain "
            "text; remove them and set PREFECT_API_KEY or PREFECT_API_AUTH_STRING"
        )
    return url


def required_setting(name: str) -> str:
    """Return an environment variable that has no default. Raises InvalidInputError if unset."""
    if value := os.environ.get(name):
        return value
    raise InvalidInputError(
        f"{name} is not set; set it in .env (see .env.example), "
        "or in .env.prod with NYC_TAXI_ENV=prod"
    )


def integer_setting(name: str, default: int) -> int | str:
    """Return an integer setting; other text is returned as is, and save_pool rejects it."""
    given = os.environ.get(name) or str(default)
    return int(given) if given.isdecimal() else given


def api_for_jobs() -> str:
    """Return the API URL for cloud jobs: CLOUD_PREFECT_API_URL, or PREFECT_API_URL.

    Raises InvalidInputError for a loopback address.
    """
    name = "CLOUD_PREFECT_API_URL"
    url = os.environ.get(name) or PREFECT_API_URL.value() or required_setting("PREFECT_API_URL")
    reject_credentials(name if os.environ.get(name) else "PREFECT_API_URL", url)
    host = urlsplit(url).hostname or ""
    if host == "localhost" or (_is_address(host) and ip_address(host).is_loopback):
        raise InvalidInputError(
            f"{url} is a loopback address, unreachable from cloud jobs; "
            f"set {name} to the public address of the server"
        )
    return url


def api_key_secret(name: str, example: str) -> str | None:
    """Return the name of the secret with the key of the Prefect API, never the key itself."""
    secret = os.environ.get(name) or None
    if PREFECT_API_KEY.value() and not secret:
        raise InvalidInputError(
            f"PREFECT_API_KEY is set, so {name} is required: the secret that jobs read it from, "
            f"such as {example}; otherwise each job would show the key in plain text"
        )
    return secret


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
