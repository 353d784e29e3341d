"""Secrets of jobs: no work pool contains one in plain text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_docker.worker import DockerWorkerJobConfiguration
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerJobV2Configuration

from blocks.make_cloud_run_pool import main as cloud_run
from blocks.make_docker_block import main as docker_pool
from blocks.make_ecs_pool import main as ecs
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.orchestration.work_pools import holds_credentials
from tests.support.work_pools import CLOUD_RUN, ECS, SavePool, defaults, pool

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

    def test_docker_pool_refers_to_secret_blocks(self, save_pool: SavePool) -> None:
        save_pool(docker_pool, **SECRETS)
        saved = pool("docker-pool")
        assert "in_clear" not in saved.model_dump_json()
        configuration = asyncio.run(
            DockerWorkerJobConfiguration.from_template_and_values(saved.base_job_template, {})
        )
        assert SECRETS.items() <= configuration.env.items()

    def test_a_source_url_without_credentials_is_a_plain_setting(self, save_pool: SavePool) -> None:
        save_pool(docker_pool, NYC_TAXI_SOURCE_URL="https://months.example/{color}/trips")
        env = defaults("docker-pool")["env"]
        assert env["NYC_TAXI_SOURCE_URL"] == "https://months.example/{color}/trips"
        assert "NYC_TAXI_HASH_KEY" not in env

    def test_local_paths_are_not_passed_to_containers(
        self, save_pool: SavePool, tmp_path: Path
    ) -> None:
        save_pool(docker_pool, NYC_TAXI_SOURCE_URL=str(tmp_path), NYC_TAXI_LAKE=f"local:{tmp_path}")
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
        self, save_pool: SavePool, main: Callable[[], None], env: dict[str, str]
    ) -> None:
        with pytest.raises(
            InvalidInputError, match=r"_PREFECT_API_URL contains a user, a password or"
        ) as no:
            save_pool(main, **env)
        assert "in_clear" not in str(no.value)

    @pytest.mark.parametrize("google_credentials", ["no key"], indirect=True)
    @pytest.mark.parametrize("kind", ["ECS", "CLOUD_RUN"])
    def test_cloud_pools_require_a_reference_for_each_secret(
        self, save_pool: SavePool, google_credentials: object, kind: str
    ) -> None:
        main, env = {"ECS": (ecs, ECS), "CLOUD_RUN": (cloud_run, CLOUD_RUN)}[kind]
        auth = {AUTH: "me:in_clear"}
        for secret in (*SECRETS.items(), *auth.items()):
            with pytest.raises(InvalidInputError) as rejected:
                save_pool(main, **env, **dict([secret]))
            assert f"refer to it in NYC_TAXI_{kind}_SECRETS, such as NYC_TAXI_HASH" in str(
                rejected.value
            )
            assert "in_clear" not in str(rejected.value)
        with pytest.raises(
            InvalidInputError, match=f"NYC_TAXI_{kind}_SECRETS is not a list of NAME=SECRET"
        ):
            save_pool(main, **env, **{f"NYC_TAXI_{kind}_SECRETS": "nyc-taxi-hash-key"})

    @pytest.mark.parametrize("google_credentials", ["no key"], indirect=True)
    def test_cloud_run_jobs_read_secrets_from_the_secret_manager(
        self, save_pool: SavePool, google_credentials: object
    ) -> None:
        names = ",\n".join([*(f"{name}=secret-{name}" for name in SECRETS), f"{AUTH}=auth"])
        given = {**SECRETS, AUTH: "me:in_clear"}
        save_pool(cloud_run, **CLOUD_RUN, **given, NYC_TAXI_CLOUD_RUN_SECRETS=names)
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
