"""Google Cloud on this machine: servers that answer Google's own clients, with no account.

with running(gcs(folder)) as storage, running(bigquery(folder)) as warehouse:
    environment = client_environment(storage, warehouse)
"""

from emulators.google import bigquery, client_environment, gcs
from emulators.python313 import NoPython313
from emulators.server import CannotStart, Server, running

__all__ = [
    "CannotStart",
    "NoPython313",
    "Server",
    "bigquery",
    "client_environment",
    "gcs",
    "running",
]
