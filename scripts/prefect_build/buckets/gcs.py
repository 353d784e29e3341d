"""Flow code in Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.api_core.exceptions import NotFound
from prefect_gcp import GcpCredentials

from nyc_taxi.errors import StorageError
from nyc_taxi.storage.google import STORAGE_RETRY, translate_google_errors

from .base import StoredObject, find_credentials

BLOCK = "zoom-gcp-creds"


class GcsBucket:
    """Bucket of Google Cloud Storage.

    Credentials: the block gcp-credentials/zoom-gcp-creds, else this machine's default ones.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.block = find_credentials(GcpCredentials, BLOCK)
        with self._translate_errors():
            self.client = (self.block or GcpCredentials()).get_cloud_storage_client()
        self.bucket = self.client.bucket(name)

    @property
    def url(self) -> str:
        return f"gs://{self.name}"

    def objects(self) -> Iterator[StoredObject]:
        with self._translate_errors():
            for blob in self.client.list_blobs(self.bucket, retry=STORAGE_RETRY):
                yield StoredObject(blob.name, blob.updated)

    def read(self, key: str) -> bytes:
        with self._translate_errors():
            data: bytes = self.bucket.blob(key).download_as_bytes(retry=STORAGE_RETRY)
            return data

    def write(self, key: str, data: bytes) -> None:
        with self._translate_errors():
            self.bucket.blob(key).upload_from_string(data, retry=STORAGE_RETRY)

    def delete(self, keys: list[str]) -> None:
        with self._translate_errors():
            blobs = [self.bucket.blob(key) for key in keys]
            # on_error: another build may have deleted the blob
            self.bucket.delete_blobs(blobs, on_error=lambda blob: None, retry=STORAGE_RETRY)

    def pull_step(self, folder: str) -> dict[str, Any]:
        step: dict[str, Any] = {"bucket": self.name, "folder": folder}
        if self.block:
            step["credentials"] = f"{{{{ prefect.blocks.gcp-credentials.{BLOCK} }}}}"
        return {"prefect_gcp.deployments.steps.pull_from_gcs": step}

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            with translate_google_errors(self.url, "roles/storage.objectUser"):
                yield
        except StorageError as problem:
            if isinstance(problem.__cause__, NotFound):
                raise StorageError(
                    f"the bucket {self.url} does not exist; "
                    f"create it: gcloud storage buckets create {self.url}"
                ) from problem
            raise
