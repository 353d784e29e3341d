"""Work pools: where a deployment's runs are carried out. Saving one again changes it in place."""

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

DOCKER_FLOW_POOL = "docker_flow_pool"
"""The Prefect variable that says which pool runs docker-flow; prefect.yaml reads it."""
JOB_COMMAND = "python /opt/prefect/docker/healthy.py 120 prefect flow-run execute"
"""What a container of the image runs. Prefect's own command gives up when the server does not
answer its first request, and as process 1 it ignores SIGTERM, which ends a container."""


def save_pool(
    name: str,
    kind: str,
    configure: Callable[[dict[str, Any]], None] = lambda configuration: None,
    **defaults: Any,
) -> None:
    """A pool of this kind (process, docker, ecs, cloud-run-v2), with our defaults for its jobs.

    A default of None is the kind's own. `configure` changes what is not among the variables.
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
        said = " ".join(str(problem).split())
        raise InvalidInputError(
            f"the work pool {name} cannot be saved: {said}; see .env.example"
        ) from None
    configure(template["job_configuration"])
    pool = WorkPoolCreate(name=name, type=kind, base_job_template=template)
    with get_client(sync_client=True) as client:
        client.create_work_pool(pool, overwrite=True)


def block_reference(document: object) -> dict[str, Any]:
    """Where a job's setting is a block: its id, by which the worker reads it."""
    return {"$ref": {"block_document_id": str(document)}}


def _is_block(value: object) -> bool:
    return isinstance(value, dict) and "$ref" in value


def set_docker_flow_pool(pool: str, overwrite: bool) -> None:
    """Choose the pool of docker-flow, unless another was chosen that is still there."""
    chosen = Variable.get(DOCKER_FLOW_POOL)
    if not overwrite and chosen is not None:
        with get_client(sync_client=True) as client:
            try:
                client.read_work_pool(str(chosen))
                return
            except ObjectNotFound:
                print(f"docker-flow runs in {pool}: there is no work pool {chosen} any more")
    Variable.set(DOCKER_FLOW_POOL, pool, overwrite=True)


def flow_settings() -> dict[str, str]:
    """The NYC_TAXI_ settings given here, but for secrets and for places on this machine."""
    config = settings()
    given = {name: getattr(config, name) for name in sorted(config.model_fields_set)}
    return {
        name: str(value)
        for setting, value in given.items()
        if (name := f"NYC_TAXI_{setting.upper()}") not in secret_settings()
        and setting != "data_dir"
        and not isinstance(value, SecretStr)
        and not str(value).startswith(("local:", "duckdb:"))
    }


def secret_settings() -> dict[str, SecretStr]:
    """The settings given here that jobs need and no work pool may hold in clear."""
    config = settings()
    found = {}
    if config.hash_key:
        found["NYC_TAXI_HASH_KEY"] = config.hash_key
    if "source_url" in config.model_fields_set and holds_credentials(config.source_url):
        found["NYC_TAXI_SOURCE_URL"] = SecretStr(config.source_url)
    return found


def holds_credentials(url: str) -> bool:
    """Whether a URL has a user, a password or a query, which may be a signature."""
    _, separator, rest = url.partition("://")
    return bool(separator) and ("@" in rest.partition("/")[0] or "?" in rest)


def save_secret_blocks() -> dict[str, str]:
    """Save the secret settings as Secret blocks; return the references, which workers resolve."""
    references = {}
    for name, value in secret_settings().items():
        block = name.lower().replace("_", "-")
        Secret(value=value).save(block, overwrite=True)
        references[name] = f"{{{{ prefect.blocks.secret.{block} }}}}"
    return references


def secret_references(variable: str, example: str) -> dict[str, str]:
    """Where jobs in a cloud read secrets from: NAME=SECRET pairs, with a comma between them."""
    pairs = [pair.strip() for pair in re.split(r"[,\n]", os.environ.get(variable) or "")]
    given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(given) != len([pair for pair in pairs if pair]):
        raise InvalidInputError(f"{variable} is not a list of NAME=SECRET, such as {example}")
    wanted: Mapping[str, object] = secret_settings()
    if PREFECT_API_AUTH_STRING.value():
        wanted = {**wanted, "PREFECT_API_AUTH_STRING": None}
    if missing := sorted(set(wanted) - set(given)):
        raise InvalidInputError(
            f"{missing[0]} is a secret, which a work pool would hold in clear; put it into the "
            f"cloud's secrets and name it in {variable}, such as {example}"
        )
    return given


def reject_credentials(name: str, url: str) -> str:
    if holds_credentials(url):
        raise InvalidInputError(
            f"{name} holds a user, a password or a query, which every job would show in clear; "
            "leave them out and set PREFECT_API_KEY or PREFECT_API_AUTH_STRING"
        )
    return url


def required_setting(name: str) -> str:
    """A value that has no default."""
    if value := os.environ.get(name):
        return value
    raise InvalidInputError(
        f"{name} is not set; write it into .env (.env.example says what it is), "
        "or into .env.prod and set NYC_TAXI_ENV=prod"
    )


def integer_setting(name: str, default: int) -> int | str:
    """What is no number stays a text, which save_pool refuses."""
    given = os.environ.get(name) or str(default)
    return int(given) if given.isdecimal() else given


def api_for_jobs() -> str:
    """Prefect's API as jobs in a cloud reach it: CLOUD_PREFECT_API_URL, or PREFECT_API_URL."""
    name = "CLOUD_PREFECT_API_URL"
    url = os.environ.get(name) or PREFECT_API_URL.value() or required_setting("PREFECT_API_URL")
    reject_credentials(name if os.environ.get(name) else "PREFECT_API_URL", url)
    host = urlsplit(url).hostname or ""
    if host == "localhost" or (_is_address(host) and ip_address(host).is_loopback):
        raise InvalidInputError(
            f"{url} is this machine, which no job in a cloud reaches; "
            f"set {name} to the server's address out there"
        )
    return url


def api_key_secret(name: str, example: str) -> str | None:
    """Where jobs find the key of Prefect's API: the name of a secret, never the key itself."""
    secret = os.environ.get(name) or None
    if PREFECT_API_KEY.value() and not secret:
        raise InvalidInputError(
            f"with a PREFECT_API_KEY {name} is needed too: the secret that jobs read it from, "
            f"such as {example}; otherwise each job would carry the key in clear"
        )
    return secret


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
