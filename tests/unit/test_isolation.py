"""The settings of the user's shell do not reach the tests."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.environment import install_environment, remove_settings, settings_of

import pytest

USERS = {
    "AWS_PROFILE": "work",
    "GIT_DIR": "/nowhere",
    "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json",
    "MAKEFLAGS": " -- PYTHON=python3.13",
    "NYC_TAXI_LAKE": "s3:production",
    "PGHOST": "production",
    "POSTGRES_URL": "postgresql://production/trips",
    "PREFECT_API_URL": "http://production/api",
    "PYTHON": "python3.13",
}


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Restore os.environ after the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_settings_are_removed_and_those_of_the_tests_kept() -> None:
    os.environ |= {**USERS, "NYC_TAXI_TEST_EXAMPLES": "20"}
    remove_settings()
    assert not set(USERS) & set(os.environ)
    assert os.environ["NYC_TAXI_TEST_EXAMPLES"] == "20"


def test_only_installations_use_the_proxy() -> None:
    os.environ["https_proxy"] = "http://proxy:3128"
    remove_settings()
    assert "https_proxy" not in os.environ
    assert install_environment()["https_proxy"] == "http://proxy:3128"


def test_env_file_counts_if_a_test_would_read_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert settings_of(path) == []
    path.write_text("POSTGRES_PASSWORD=of compose\nPREFECT_API_URL=\nEDITOR=vi\n")
    assert settings_of(path) == []
    path.write_text("export NYC_TAXI_LAKE='gs:production'\nPREFECT_LOGGING_LEVEL=DEBUG\n")
    assert settings_of(path) == ["NYC_TAXI_LAKE", "PREFECT_LOGGING_LEVEL"]


def test_settings_are_removed_before_prefect_reads_them() -> None:
    imported = list(sys.modules)
    assert imported.index("tests.support.environment") < imported.index("prefect")
