"""The operations that flow code needs from a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from prefect.settings import get_current_settings

from nyc_taxi.storage.blocks import B, find_block


@dataclass(frozen=True)
class StoredObject:
    """An object of a bucket."""

    key: str
    written: datetime
    """UTC."""


class Bucket(Protocol):
    """A bucket for code, read and written by its vendor's client. Errors are StorageError."""

    name: str

    @property
    def url(self) -> str: ...
    def objects(self) -> Iterator[StoredObject]: ...
    def read(self, key: str) -> bytes: ...
    def write(self, key: str, data: bytes) -> None: ...
    def delete(self, keys: list[str]) -> None: ...
    def pull_step(self, folder: str) -> dict[str, Any]:
        """Return the step with which a worker downloads the folder into its working directory."""
        ...


def find_credentials(kind: type[B], name: str) -> B | None:
    """Return the block; None if it does not exist, or PREFECT_API_URL is not set."""
    if not get_current_settings().api.url:
        return None
    return find_block(kind, name, "correct it in the Prefect UI, or delete it")
