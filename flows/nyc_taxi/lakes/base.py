"""Where the conformed months are kept, one Parquet file each.

An address is `<module>:<place>`, such as `local:data/lake`: the word before the colon is a module
of this package, what follows is a path or the name of a Prefect block, never a credential.
"""

from pathlib import Path
from typing import BinaryIO, Protocol


class Lake(Protocol):
    """Files under keys such as `data/yellow/yellow_tripdata_2021-01.parquet`.

    A file is replaced in one step: a reader sees the old one or the new one.
    Where a key is asked for that is not there, StorageError is raised.
    """

    def put(self, file: Path, key: str) -> str:
        """Store a local file; returns its address."""

    def get(self, key: str) -> Path:
        """A local file with the content of `key`."""

    def uri(self, key: str) -> str:
        """The address of `key`: a path, or a URL such as `gs://bucket/key`."""

    def open(self, key: str) -> BinaryIO:
        """Read parts of `key` without moving all of it."""

    def check(self) -> str:
        """Say what is there; raises what a user has to mend before files can be put."""


def uri_or_local_copy(lake: Lake, key: str, reads: tuple[str, ...]) -> Path | str:
    """The file for who reads URLs of the schemes in `reads`: its URL, or else a local copy."""
    uri = lake.uri(key)
    scheme, _, path = uri.partition("://")
    return uri if path and scheme in reads else lake.get(key)
