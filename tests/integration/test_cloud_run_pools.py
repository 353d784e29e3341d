"""The Cloud Run pool: saved and rejected settings."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.make_cloud_run_pool import main as cloud_run
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.orchestration.work_pools import JOB_COMMAND
from tests.support.work_pools import API, CLOUD_RUN, IMAGE, SavePool, defaults, pool


class TestCloudRun:
    def test_pool_with_required_settings_only(
        self, save_pool: SavePool, google_credentials: dict[str, Any]
    ) -> None:
        assert save_pool(cloud_run, **CLOUD_RUN) == (
            f"work pool cloud-run-pool: jobs of {IMAGE} in the project nyc-taxi, europe-west1\n"
        )
        found = defaults("cloud-run-pool")
        assert pool("cloud-run-pool").type == "cloud-run-v2"
        given = {
            "credentials": google_credentials,
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
        self, save_pool: SavePool, google_credentials: dict[str, Any]
    ) -> None:
        env = {
            **CLOUD_RUN,
            "NYC_TAXI_CLOUD_RUN_API_KEY_SECRET": "prefect-api-key",
            "PREFECT_API_KEY": "pnu_in_clear",
        }
        save_pool(cloud_run, **env)
        first = pool("cloud-run-pool")
        save_pool(cloud_run, **env)
        again = pool("cloud-run-pool")
        assert again.id == first.id
        assert again.base_job_template == first.base_job_template
        assert defaults("cloud-run-pool")["prefect_api_key_secret"] == {
            "secret": "prefect-api-key",
            "version": "latest",
        }
        assert "in_clear" not in again.model_dump_json()

    @pytest.mark.parametrize("google_credentials", ["no key"], indirect=True)
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
        self, save_pool: SavePool, google_credentials: object, env: dict[str, str], message: str
    ) -> None:
        with pytest.raises(InvalidInputError) as rejected:
            save_pool(cloud_run, **{**CLOUD_RUN, **env})
        assert message in str(rejected.value)
        assert "\n" not in str(rejected.value)

    def test_a_missing_credentials_block_is_reported(self, save_pool: SavePool) -> None:
        with pytest.raises(
            InvalidInputError, match="/zoom-gcp-creds does not exist; run: python blocks/"
        ):
            save_pool(cloud_run, **CLOUD_RUN)
