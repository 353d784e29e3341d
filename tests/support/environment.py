"""Environment of the tests, without the settings of the user's shell.

Imported before Prefect and the clouds' clients, which read their settings when they are imported.
"""

import os
import sys
from pathlib import Path

from dotenv import dotenv_values

# Else each of the tests' many processes compiles all modules, or finds others.
sys.dont_write_bytecode = False
for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONSAFEPATH"):
    os.environ.pop(name, None)

SETTINGS = (
    "AWS_", "BIGQUERY_", "BOTO", "CATALOG_URI", "CLOUDSDK_", "DBT_", "GCLOUD_", "GOOGLE_",
    "HADOOP_", "NOTIFICATION_", "NYC_TAXI_", "PG", "POSTGRES_", "PREFECT_", "PYSPARK_", "REGISTRY_",
    "SPARK_", "STORAGE_EMULATOR_HOST", "WAREHOUSE_URI", "YARN_",
    "GIT_",  # Git sets GIT_DIR for its hooks: the tests would change this repository
    "COLUMNS", "FORCE_COLOR", "TTY_",  # of Rich
    "MAKE", "MFLAGS",  # make PYTHON=python3.13 test: every make of a test would use that Python
)  # fmt: skip
"""Beginnings of the names that change what a test finds."""
KEPT = (
    "NYC_TAXI_SCREENSHOT",
    "NYC_TAXI_TEST_",
    "PREFECT_SERVER_ANALYTICS_ENABLED",
    "PREFECT_SERVER_EPHEMERAL_",
)
"""Beginnings of the names that are meant for the tests."""
COMPOSE = ("POSTGRES_PASSWORD", "POSTGRES_PORT", "PREFECT_AUTH_STRING", "PREFECT_PORT")
"""Names that only docker-compose.yml reads."""
NETWORK = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")
FOR_INSTALL = "NYC_TAXI_TEST_INSTALL_"
"""Added to the names of proxies and certificates, which only installations use."""


def remove_settings() -> None:
    """Remove the user's settings from os.environ."""
    for name in list(os.environ):
        if name in NETWORK or name.lower().endswith("_proxy"):
            os.environ[FOR_INSTALL + name] = os.environ.pop(name)
        elif name == "PYTHON" or (name.startswith(SETTINGS) and not name.startswith(KEPT)):
            del os.environ[name]


def settings_of(path: Path) -> list[str]:
    """Return the names in a .env file that would change what a test finds."""
    names = [name for name, value in dotenv_values(path).items() if value]
    return [n for n in names if n.startswith(SETTINGS) and not n.startswith((*KEPT, *COMPOSE))]


def install_environment() -> dict[str, str]:
    """Return the user's proxies and certificates."""
    return {
        name.removeprefix(FOR_INSTALL): value
        for name, value in os.environ.items()
        if name.startswith(FOR_INSTALL)
    }


remove_settings()
