"""Lake in a Google Cloud Storage bucket, given by a GcsBucket block: `gcs:zoom-gcs`."""

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

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import atomic_write
from nyc_taxi.storage.google import (
    CONNECT_TIMEOUT,
    MAKE_BLOCKS,
    STORAGE_RETRY,
    InterruptibleFile,
    load_google_block,
    translate_google_errors,
)

CHUNK = 8 << 20
"""Bytes per upload request. A larger file is a resumable upload of several requests."""
MIN_THROUGHPUT = 64 << 10
"""Minimum upload throughput in bytes per second; sets the timeout of a request."""
READ_SIZE = 1 << 20
"""Bytes per request when a file is read in part."""
ROLES = "roles/storage.objectUser on the bucket"


class GcsLake:
    @classmethod
    def from_address(cls, block: str) -> GcsLake:
        return cls(load_google_block(GcsBucket, block))

    def __init__(self, block: GcsBucket) -> None:
        if "/" in block.bucket:
            raise InvalidInputError(
                f"the bucket of the block is {block.bucket!r}, not just a name; set "
                f"NYC_TAXI_GCS_BUCKET and NYC_TAXI_GCS_FOLDER, and run: {MAKE_BLOCKS}"
            )
        client = block.gcp_credentials.get_cloud_storage_client()
        self.bucket = client.bucket(block.bucket)
        self.folder = block.bucket_folder

    def put(self, file: Path, key: str) -> str:
        """Skip the upload if the object already has the file's size and CRC32C checksum."""
        size, checksum = file.stat().st_size, _crc32c(file)
        timeout = settings().timeout + min(size, CHUNK) / MIN_THROUGHPUT
        with self._translating_errors():
            existing = self._find(key)
            if existing is None or (existing.size, existing.crc32c) != (size, checksum):
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
        """Download to the data folder, unless the copy there has the object's checksum."""
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
        """Upload a probe object under a unique name and delete it."""
        probe = self.bucket.blob(self._name(f"check-{uuid4().hex}"))
        options: dict[str, Any] = {"timeout": self._timeout, "retry": STORAGE_RETRY}
        with self._translating_errors():
            try:
                probe.upload_from_string(b"", if_generation_match=0, **options)
            except BaseException:
                with suppress(Exception):
                    probe.delete(timeout=self._timeout, retry=None)
                raise
            probe.delete(**options)
        return f"{self._uri('')} is writable"

    def _name(self, key: str) -> str:
        """Prefix the block's folder once, as the methods of GcsBucket do."""
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
        # A missing object and a missing bucket look alike; listing raises NotFound for the bucket.
        list(self.bucket.list_blobs(max_results=1, timeout=self._timeout, retry=STORAGE_RETRY))
        raise StorageError(
            f"the lake {self._uri('')} has no {key}; ingest it with etl_web_to_gcs.py"
        )

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
                f"the bucket {bucket} does not exist; create it "
                f"(gcloud storage buckets create {bucket}), or set NYC_TAXI_GCS_BUCKET "
                f"and run: {MAKE_BLOCKS}"
            ) from problem


def _crc32c(file: Path) -> str:
    checksum = google_crc32c.Checksum()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()
