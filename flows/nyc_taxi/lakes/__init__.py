"""Where the conformed months are kept, one Parquet file each.

An address is `<module>:<place>`, such as `local:data/lake`: the word before the colon is a module
of this package, what follows is a path or the name of a Prefect block, never a credential.
"""

from pathlib import Path
from typing import Protocol

from nyc_taxi.places import open_place


class Lake(Protocol):
    """Files under keys such as `data/yellow/yellow_tripdata_2021-01.parquet`.

    A file is replaced in one step: a reader sees the old one or the new one.
    """

    def put(self, file: Path, key: str) -> str:
        """Store a local file; returns the address it can be read at."""

    def get(self, key: str) -> Path:
        """A local file with the content of `key`. Raises StoreError when there is none."""


def open_lake(address: str) -> Lake:
    lake: Lake = open_place(__name__, address, setting="NYC_TAXI_LAKE")
    return lake
