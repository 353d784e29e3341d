"""Lake in a bucket of Amazon S3, or of a store with its API, named by a block: `s3:zoom-s3`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from uuid import uuid4

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError
from prefect_aws import S3Bucket

from nyc_taxi.cancellation import interruptible
from nyc_taxi.errors import ConnectionLostError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.atomic_files import atomic_write
from nyc_taxi.storage.aws import (
    ATTEMPTS,
    AWS_ERRORS,
    MAKE_BLOCK,
    error_kind,
    explain,
    s3_client,
    status,
)
from nyc_taxi.storage.blocks import load_block
from nyc_taxi.storage.range_reader import open_ranges

T = TypeVar("T")
PART = 8 << 20
"""Bytes per request of a larger file. All parts but the last are equal: R2 accepts no others."""
TRANSFER = TransferConfig(
    multipart_threshold=PART,
    multipart_chunksize=PART,
    max_concurrency=4,
    num_download_attempts=ATTEMPTS,
    preferred_transfer_client="classic",  # the other one reads neither timeouts nor CA files
)
SHA256 = "sha256"
"""Metadata key of an object: the checksum of its content, in hex."""


class S3Lake:
    @classmethod
    def from_address(cls, block: str) -> S3Lake:
        fix = f"set NYC_TAXI_S3_BUCKET and the AWS_ lines of .env and run: {MAKE_BLOCK}"
        return cls(load_block(S3Bucket, block, fix))

    def __init__(self, block: S3Bucket) -> None:
        self.bucket = block.bucket_name
        self.folder = block.bucket_folder.strip("/")
        self.client = self._run(partial(s3_client, block))

    def put(self, file: Path, key: str) -> str:
        """Skip the upload if the object already has the file's size and checksum.

        The server verifies each request by its SHA-256. Parts of a large file are invisible until
        the last one has arrived; a failed upload is aborted.
        """
        size, checksum = file.stat().st_size, _sha256(file)
        found = self._run(partial(self._find, key))
        if found is None or (found["ContentLength"], _checksum(found)) != (size, checksum):
            metadata = {"Metadata": {SHA256: checksum}}
            manager = create_transfer_manager(self.client, TRANSFER)
            self._finish(manager, manager.upload(str(file), self.bucket, self._name(key), metadata))
        return self._uri(key)

    def get(self, key: str) -> Path:
        """The copy is in the data folder, and is downloaded again if the object differs.

        An object without a checksum in its metadata, written by another tool, is downloaded each
        time.
        """
        copy = settings().data_dir / "s3" / self.bucket / self._name(key)
        checksum = _checksum(self._run(partial(self._object, key)))
        if not checksum or not copy.is_file() or _sha256(copy) != checksum:
            with atomic_write(copy) as part:
                manager = create_transfer_manager(self.client, TRANSFER)
                self._finish(manager, manager.download(self.bucket, self._name(key), str(part)))
                if checksum and _sha256(part) != checksum:
                    raise ConnectionLostError(
                        f"{self._uri(key)} was damaged or replaced during the download; rerun"
                    )
        return copy

    def uri(self, key: str) -> str:
        self._run(partial(self._object, key))
        return self._uri(key)

    def open(self, key: str) -> BinaryIO:
        """Raises ConnectionLostError while it is read if the object is replaced meanwhile."""
        found = self._run(partial(self._object, key))
        place = {"Bucket": self.bucket, "Key": self._name(key), "IfMatch": found["ETag"]}

        def read(first: int, last: int) -> bytes:
            response = self.client.get_object(**place, Range=f"bytes={first}-{last}")
            content: bytes = response["Body"].read()
            return content

        return open_ranges(
            lambda first, last: self._run(partial(read, first, last)), found["ContentLength"]
        )

    def check(self) -> str:
        """Start an upload under a unique name, and abort it: nothing is ever visible."""
        self._run(self._probe)
        return f"{self._uri('')} is writable"

    def _probe(self) -> None:
        self._list()
        place = {"Bucket": self.bucket, "Key": self._name(f"check-{uuid4().hex}")}
        upload = self.client.create_multipart_upload(**place)
        self.client.abort_multipart_upload(**place, UploadId=upload["UploadId"])

    def _name(self, key: str) -> str:
        """Prefix the block's folder once, as the methods of S3Bucket do."""
        folder = f"{self.folder}/" if self.folder else ""
        return key if key.startswith(folder) else folder + key

    def _uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._name(key)}"

    def _list(self) -> None:
        self.client.list_objects_v2(Bucket=self.bucket, Prefix=self._name(""), MaxKeys=1)

    def _find(self, key: str) -> dict[str, Any] | None:
        place = {"Bucket": self.bucket, "Key": self._name(key)}
        try:
            return cast(dict[str, Any], self.client.head_object(**place))
        except ClientError as problem:
            if status(problem) != 404:
                raise
        self._list()  # a HEAD request does not tell a missing object from a missing bucket
        return None

    def _object(self, key: str) -> dict[str, Any]:
        if found := self._find(key):
            return found
        raise StorageError(
            f"the lake {self._uri('')} has no {key}; ingest it with etl_web_to_gcs.py"
        )

    def _finish(self, manager: Any, transfer: Any) -> None:
        def finish() -> None:
            with manager:
                transfer.result()

        self._run(finish, transfer.cancel)

    def _run(self, call: Callable[[], T], interrupt: Callable[[], None] = lambda: None) -> T:
        """Send requests from another thread, so that a signal does not wait for them."""
        try:
            return interruptible(partial(self._with_reason, call), interrupt)
        except AWS_ERRORS as problem:
            raise explain(f"s3://{self.bucket}", problem) from problem

    def _with_reason(self, call: Callable[[], T]) -> T:
        """Call; after a failed HEAD, whose response has no reason, list the bucket to get one."""
        try:
            return call()
        except ClientError as problem:
            if error_kind(problem).isdigit():
                self._list()
            raise


def _checksum(found: dict[str, Any]) -> str | None:
    """Return the checksum in the metadata; servers written in Go name it Sha256."""
    return {key.lower(): value for key, value in found["Metadata"].items()}.get(SHA256)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
