"""A lake in a folder, for who has no cloud."""

import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from nyc_taxi.errors import StoreError
from nyc_taxi.files import replacing, writing
from nyc_taxi.settings import from_root


class LocalLake:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, file: Path, key: str) -> str:
        target = self.folder / key
        with replacing(target) as part:
            shutil.copyfile(file, part)
        return str(target)

    def get(self, key: str) -> Path:
        path = self.folder / key
        if not path.is_file():
            raise StoreError(f"the lake {self.folder} has no {key}; run etl_web_to_gcs.py for it")
        return path

    def uri(self, key: str) -> str:
        return str(self.get(key))

    def open(self, key: str) -> BinaryIO:
        return self.get(key).open("rb")

    def check(self) -> str:
        """Writes a temporary file where the folder is or will be; nothing of it is left."""
        existing = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        with writing(self.folder), TemporaryFile(dir=existing) as probe:
            probe.write(b"check")
        return f"{self.folder} can be written"


def open_place(place: str) -> LocalLake:
    return LocalLake(from_root(place))
