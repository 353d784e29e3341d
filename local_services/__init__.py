"""Local services for development and tests: GCS and BigQuery emulators, PostgreSQL, Prefect.

with running(gcs(folder)) as storage, running(bigquery(folder)) as warehouse:
    environment = client_environment(storage, warehouse)
"""

from local_services.google import bigquery, client_environment, gcs
from local_services.process import Service, ServiceStartError, running
from local_services.python313 import Python313NotFoundError

__all__ = [
    "Python313NotFoundError",
    "Service",
    "ServiceStartError",
    "bigquery",
    "client_environment",
    "gcs",
    "running",
]
