"""Save the work pool `docker-pool`, which runs each flow run in a container of the project's image.

It replaces the course's DockerContainer block. The defaults match docker-compose.yml; set others
in the environment or `.env`:

    NYC_TAXI_IMAGE          nyc-taxi:latest
    NYC_TAXI_NETWORK        nyc-taxi, the network with the server, whose host name is `server`
    NYC_TAXI_VOLUME         nyc-taxi-data, mounted at the flows' data folder
    DOCKER_PREFECT_API_URL  http://server:4200/api, the server's URL on that network
    REGISTRY_URL, REGISTRY_USERNAME, REGISTRY_PASSWORD, to pull a private image
    STORAGE_EMULATOR_HOST, BIGQUERY_EMULATOR_HOST, GOOGLE_APPLICATION_CREDENTIALS, as seen from
    a container, to use emulators of Google Cloud
"""

import os
from typing import Any

from nyc_taxi.cli import script

from prefect_docker import DockerRegistryCredentials
from pydantic import SecretStr

from nyc_taxi.orchestration.work_pools import (
    JOB_COMMAND,
    block_reference,
    flow_settings,
    reject_credentials,
    required_setting,
    save_pool,
    save_secret_blocks,
    set_docker_flow_pool,
)

POOL = "docker-pool"
DATA = "/data"
EMULATORS = ("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS")


def emulators() -> dict[str, str]:
    if not os.environ.get("STORAGE_EMULATOR_HOST"):
        return {}  # without emulators, the credentials are a file on this machine
    return {name: os.environ[name] for name in EMULATORS if name in os.environ}


def registry() -> dict[str, Any]:
    """Save the registry's credentials, if set, in a block; return the pool's reference to it."""
    if not os.environ.get("REGISTRY_PASSWORD"):
        return {}
    block = DockerRegistryCredentials(
        username=required_setting("REGISTRY_USERNAME"),
        password=SecretStr(required_setting("REGISTRY_PASSWORD")),
        registry_url=required_setting("REGISTRY_URL"),
    )
    saved = block.save("registry", overwrite=True)
    return {"registry_credentials": block_reference(saved)}


def main() -> None:
    image = os.environ.get("NYC_TAXI_IMAGE", "nyc-taxi:latest")
    network = os.environ.get("NYC_TAXI_NETWORK", "nyc-taxi")
    volume = os.environ.get("NYC_TAXI_VOLUME", "nyc-taxi-data")
    api = os.environ.get("DOCKER_PREFECT_API_URL", "http://server:4200/api")
    reject_credentials("DOCKER_PREFECT_API_URL", api)
    private = registry()
    save_pool(
        POOL,
        "docker",
        image=image,
        command=JOB_COMMAND,
        image_pull_policy="IfNotPresent",
        auto_remove=True,
        networks=[network],
        volumes=[f"{volume}:{DATA}"],
        env={"PREFECT_API_URL": api, **flow_settings(), **emulators(), **save_secret_blocks()},
        **private,
    )
    set_docker_flow_pool(POOL, overwrite=True)
    print(f"work pool {POOL}: containers of {image} on the network {network}")


if __name__ == "__main__":
    script(main)
