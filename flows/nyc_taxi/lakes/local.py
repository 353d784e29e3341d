"""A lake in a folder, for who has no cloud."""

import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from nyc_taxi.errors import StorageError
from nyc_taxi.settings import from_root
from nyc_taxi.storage.atomic_files import atomic_write, translate_os_errors


class LocalLake:
    @classmethod
    def from_address(cls, place: str) -> "LocalLake":
        return cls(from_root(place))

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
            raise StorageError(f"the lake {self.folder} has no {key}; run etl_web_to_gcs.py for it")
        return path

    def uri(self, key: str) -> str:
        return str(self.get(key))

    def open(self, key: str) -> BinaryIO:
        return self.get(key).open("rb")

    def check(self) -> str:
        """Writes a temporary file where the folder is or will be; nothing of it is left."""
        existing = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        with translate_os_errors(self.folder), TemporaryFile(dir=existing) as probe:
            probe.write(b"check")
        return f"{self.folder} can be written"
