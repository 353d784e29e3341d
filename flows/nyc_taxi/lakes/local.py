"""Lake on the local filesystem."""

import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from nyc_taxi.errors import StorageError
from nyc_taxi.settings import from_root
from nyc_taxi.storage.atomic_files import atomic_write, translate_os_errors


class LocalLake:
    @classmethod
    def from_address(cls, path: str) -> "LocalLake":
        return cls(from_root(path))

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, file: Path, key: str) -> str:
        target = self.folder / key
        with atomic_write(target) as part:
            shutil.copyfile(file, part)
        return str(target)

    def get(self, key: str) -> Path:
        path = self.folder / key
        if not path.is_file():
            raise StorageError(
                f"the lake {self.folder} has no {key}; ingest it with etl_web_to_gcs.py"
            )
        return path

    def uri(self, key: str) -> str:
        return str(self.get(key))

    def open(self, key: str) -> BinaryIO:
        return self.get(key).open("rb")

    def check(self) -> str:
        """Write a temporary file to the folder, or to its nearest existing parent."""
        existing = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        with translate_os_errors(self.folder), TemporaryFile(dir=existing) as probe:
            probe.write(b"check")
        return f"{self.folder} is writable"
