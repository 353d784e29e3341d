"""A lake in a bucket of Google Cloud Storage, named by a GcsBucket block: `gcs:zoom-gcs`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import uuid4

import google_crc32c
from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob
from prefect_gcp.cloud_storage import GcsBucket

from nyc_taxi.errors import StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import atomic_write
from nyc_taxi.storage.google import (
    CONNECT_TIMEOUT,
    STORAGE_RETRY,
    InterruptibleFile,
    load_block,
    translate_google_errors,
)

CHUNK = 8 << 20
"""Bytes that one request carries; a larger file goes in several, resumed where one breaks."""
MIN_THROUGHPUT = 64 << 10
"""Bytes a second that are still waited for: the time allowed grows with what is sent."""
READ_SIZE = 1 << 20
"""Bytes that are read at a time of a file that is not read whole."""
ROLES = "roles/storage.objectUser on the bucket"


class GcsLake:
    @classmethod
    def from_address(cls, place: str) -> GcsLake:
        return cls(load_block(GcsBucket, place))

    def __init__(self, block: GcsBucket) -> None:
        client = block.gcp_credentials.get_cloud_storage_client()
        self.bucket = client.bucket(block.bucket)
        self.folder = block.bucket_folder

    def put(self, file: Path, key: str) -> str:
        """Nothing is sent when the object is there and has the file's size and checksum."""
        size, checksum = file.stat().st_size, _crc32c(file)
        timeout = settings().timeout + min(size, CHUNK) / MIN_THROUGHPUT
        with self._translating_errors():
            there = self._find(key)
            if there is None or (there.size, there.crc32c) != (size, checksum):
                with InterruptibleFile(file) as content:
                    self.bucket.blob(self._name(key), chunk_size=CHUNK).upload_from_file(
                        content,
                        size=size,
                        checksum="crc32c",
                        timeout=(CONNECT_TIMEOUT, timeout),
                        retry=STORAGE_RETRY,
                    )
        return self._uri(key)

    def get(self, key: str) -> Path:
        """The copy lies in the data folder, and is made again when the object is another."""
        copy = settings().data_dir / "gcs" / str(self.bucket.name) / self._name(key)
        with self._translating_errors():
            blob = self._blob(key)
            if not copy.is_file() or _crc32c(copy) != blob.crc32c:
                with atomic_write(copy) as part, InterruptibleFile(part, "wb") as content:
                    blob.download_to_file(
                        content, checksum="crc32c", timeout=self._timeout, retry=STORAGE_RETRY
                    )
        return copy

    def uri(self, key: str) -> str:
        with self._translating_errors():
            self._blob(key)
        return self._uri(key)

    def open(self, key: str) -> BinaryIO:
        with self._translating_errors():
            file = self._blob(key).open("rb", READ_SIZE, timeout=self._timeout, retry=STORAGE_RETRY)
        return cast(BinaryIO, file)

    def check(self) -> str:
        """Uploads a probe under a unique name, and deletes it."""
        probe = self.bucket.blob(self._name(f"check-{uuid4().hex}"))
        timeout: dict[str, Any] = {"timeout": self._timeout, "retry": STORAGE_RETRY}
        with self._translating_errors():
            try:
                probe.upload_from_string(b"", if_generation_match=0, **timeout)
            except BaseException:
                with suppress(Exception):
                    probe.delete(timeout=self._timeout, retry=None)
                raise
            probe.delete(**timeout)
        return f"{self._uri('')} can be written"

    def _name(self, key: str) -> str:
        """The block's folder counts once, as in the block's own methods."""
        return key if key.startswith(self.folder) else self.folder + key

    def _uri(self, key: str) -> str:
        return f"gs://{self.bucket.name}/{self._name(key)}"

    @property
    def _timeout(self) -> tuple[float, float]:
        return CONNECT_TIMEOUT, settings().timeout

    def _find(self, key: str) -> Blob | None:
        return self.bucket.get_blob(self._name(key), timeout=self._timeout, retry=STORAGE_RETRY)

    def _blob(self, key: str) -> Blob:
        if blob := self._find(key):
            return blob
        # Asking for an object does not tell whether its bucket is there; listing does.
        list(self.bucket.list_blobs(max_results=1, timeout=self._timeout, retry=STORAGE_RETRY))
        raise StorageError(f"the lake {self._uri('')} has no {key}; run etl_web_to_gcs.py for it")

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        bucket = f"gs://{self.bucket.name}"
        try:
            with translate_google_errors(bucket, ROLES):
                yield
        except StorageError as problem:
            if not isinstance(problem.__cause__, NotFound):
                raise
            raise StorageError(
                f"there is no bucket {bucket}; make it (gcloud storage buckets create {bucket}), "
                "or set NYC_TAXI_GCS_BUCKET and run: python blocks/make_gcp_blocks.py"
            ) from problem


def _crc32c(file: Path) -> str:
    checksum = google_crc32c.Checksum()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()
