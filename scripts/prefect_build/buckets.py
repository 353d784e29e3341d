"""Flow code in S3 or GCS: `<bucket>/<flow>/flow/<version>/...`, a version whole or not at all.

A version is never changed. Its files are written first and its manifest last, and only then does a
deployment name it, so a run finds a whole version or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from google.api_core.exceptions import NotFound
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import get_current_settings
from prefect_aws import AwsCredentials
from prefect_gcp import GcpCredentials

from bundles import Bundle
from nyc_taxi.errors import BadInput, StoreError
from nyc_taxi.gcp import STORAGE_RETRY, talking_to

MANIFEST = "manifest.json"
AWS_BLOCK = "aws"
GCP_BLOCK = "zoom-gcp-creds"
VERSION = re.compile(r"(?P<folder>[^/]+/flow/[0-9a-f]{16})/(?P<name>.+)")
AT_ONCE = 8
"""Requests to a bucket that are under way at the same time."""


@dataclass(frozen=True)
class Object:
    key: str
    written: datetime
    """UTC."""


class Bucket(Protocol):
    """A bucket for code, with Google's or Amazon's own client."""

    name: str

    @property
    def url(self) -> str: ...
    def objects(self, prefix: str = "") -> Iterator[Object]: ...
    def read(self, key: str) -> bytes: ...
    def write(self, key: str, data: bytes) -> None: ...
    def delete(self, keys: list[str]) -> None: ...
    def pull_step(self, folder: str) -> dict[str, Any]:
        """What a worker does to have the folder's files in its working directory."""
        ...


class S3Bucket:
    def __init__(self, name: str, profile: str | None) -> None:
        """Rights from the profile, else the block aws-credentials/aws, else the machine's own."""
        self.name = name
        self.block = None if profile else _saved(AwsCredentials, AWS_BLOCK)
        with self._talking():
            if self.block:
                self.client = self.block.get_s3_client()
            else:
                self.client = boto3.Session(profile_name=profile).client("s3")

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def objects(self, prefix: str = "") -> Iterator[Object]:
        with self._talking():
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                for found in page.get("Contents", []):
                    yield Object(found["Key"], found["LastModified"])

    def read(self, key: str) -> bytes:
        with self._talking():
            body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            return body

    def write(self, key: str, data: bytes) -> None:
        with self._talking():
            self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, keys: list[str]) -> None:
        with self._talking():
            for first in range(0, len(keys), 1000):
                some = [{"Key": key} for key in keys[first : first + 1000]]
                self.client.delete_objects(Bucket=self.name, Delete={"Objects": some})

    def pull_step(self, folder: str) -> dict[str, Any]:
        step: dict[str, Any] = {"bucket": self.name, "folder": folder}
        if self.block:
            step["credentials"] = f"{{{{ prefect.blocks.aws-credentials.{AWS_BLOCK} }}}}"
        return {"prefect_aws.deployments.steps.pull_from_s3": step}

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except ClientError as problem:
            code = problem.response["Error"]["Code"]
            if code == "NoSuchBucket":
                raise StoreError(
                    f"there is no bucket {self.url}; make it: aws s3 mb {self.url}"
                ) from problem
            said = problem.response["Error"].get("Message") or code
            raise StoreError(f"{self.url} refuses: {code}: {said}") from problem
        except BotoCoreError as problem:
            raise StoreError(
                f"{self.url}: {problem}; give --aws-profile, or set the AWS_ lines of .env"
            ) from problem


class GcsBucket:
    def __init__(self, name: str) -> None:
        """Rights from the block gcp-credentials/zoom-gcp-creds, else the machine's own."""
        self.name = name
        self.block = _saved(GcpCredentials, GCP_BLOCK)
        with self._talking():
            self.client = (self.block or GcpCredentials()).get_cloud_storage_client()
        self.bucket = self.client.bucket(name)

    @property
    def url(self) -> str:
        return f"gs://{self.name}"

    def objects(self, prefix: str = "") -> Iterator[Object]:
        with self._talking():
            for blob in self.client.list_blobs(self.bucket, prefix=prefix, retry=STORAGE_RETRY):
                yield Object(blob.name, blob.updated)

    def read(self, key: str) -> bytes:
        with self._talking():
            data: bytes = self.bucket.blob(key).download_as_bytes(retry=STORAGE_RETRY)
            return data

    def write(self, key: str, data: bytes) -> None:
        with self._talking():
            self.bucket.blob(key).upload_from_string(data, retry=STORAGE_RETRY)

    def delete(self, keys: list[str]) -> None:
        with self._talking():
            for key in keys:
                self.bucket.blob(key).delete(retry=STORAGE_RETRY)

    def pull_step(self, folder: str) -> dict[str, Any]:
        step: dict[str, Any] = {"bucket": self.name, "folder": folder}
        if self.block:
            step["credentials"] = f"{{{{ prefect.blocks.gcp-credentials.{GCP_BLOCK} }}}}"
        return {"prefect_gcp.deployments.steps.pull_from_gcs": step}

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            with talking_to(self.url, "roles/storage.objectUser"):
                yield
        except StoreError as problem:
            if isinstance(problem.__cause__, NotFound):
                raise StoreError(
                    f"there is no bucket {self.url}; "
                    f"make it: gcloud storage buckets create {self.url}"
                ) from problem
            raise


def _saved(kind: Any, name: str) -> Any:
    """The block, or None where nobody has saved one, or no server was named."""
    try:
        return kind.load(name) if get_current_settings().api.url else None
    except ValueError:
        return None


@dataclass
class CodeStore:
    """The versions of all flows in a bucket, as they were when it was opened."""

    bucket: Bucket
    keys: dict[str, datetime] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {found.key: found.written for found in self.bucket.objects()}

    def put(self, folder: str, entrypoint: str, bundle: Bundle) -> None:
        """Upload a version into its folder, unless all of it is there; its manifest comes last."""
        keys = {f"{folder}/{name}": content for name, content in bundle.contents.items()}
        manifest = f"{folder}/{MANIFEST}"
        if self.keys.keys() >= {*keys, manifest}:
            return
        at_once(lambda key: self.bucket.write(key, keys[key]), keys)
        held = {"entrypoint": entrypoint, "files": bundle.digests}
        self.bucket.write(manifest, json.dumps(held, indent=1).encode())
        self.keys |= dict.fromkeys({*keys, manifest}, datetime.now(UTC))

    def prune(self, current: set[str], older: timedelta) -> None:
        """Delete the other versions of the flows whose current folders these are, once old enough.

        A run may have read its deployment just before it changed, and be about to fetch its code.
        """
        now = datetime.now(UTC)
        flows = {folder.rpartition("/")[0] for folder in current}
        stale = [
            key
            for folder, files in self.folders().items()
            if folder not in current and folder.rpartition("/")[0] in flows
            if now - max(self.keys[key] for key in files.values()) > older
            for key in files.values()
        ]
        # manifests first: what is half deleted is no version
        self.bucket.delete(sorted(stale, key=lambda key: not key.endswith(f"/{MANIFEST}")))

    def folders(self) -> dict[str, dict[str, str]]:
        """Each version's folder -> its files by name -> their keys."""
        found: dict[str, dict[str, str]] = {}
        for key in self.keys:
            if match := VERSION.match(key):
                found.setdefault(match["folder"], {})[match["name"]] = key
        return found

    def strays(self) -> list[str]:
        """Python files that belong to no version, such as those of earlier ways to upload."""
        return sorted(k for k in self.keys if k.endswith(".py") and not VERSION.match(k))

    def folder_of(self, deployment: DeploymentResponse) -> str | None:
        """Of the version that a deployment fetches from this bucket; None if from elsewhere."""
        (kind,) = self.bucket.pull_step("")
        for step in deployment.pull_steps or []:
            inputs = step.get(kind, {})
            if inputs.get("bucket") == self.bucket.name:
                return str(inputs["folder"]).rstrip("/")
        return None

    def download(self, files: dict[str, str], folder: Path) -> None:
        """Files by name, as `folders` has them, into a folder."""

        def one(name: str) -> None:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.bucket.read(files[name]))

        at_once(one, files)


def at_once(do: Callable[[str], None], items: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(do, items))


def code_name(flow: str) -> str:
    """A flow's name as part of a key: "Ingest Data" is ingest-data."""
    return re.sub(r"[^a-z0-9_.]+", "-", flow.lower()).strip("-")


def code_folder(flow: str) -> str:
    """Where all versions of a flow are kept: the path of its deployments."""
    return f"{code_name(flow)}/flow"


def open_bucket(s3: str | None, profile: str | None, gcs: str | None) -> Bucket | None:
    if s3 and gcs:
        raise BadInput("code is kept in one place: give --s3-bucket or --gcs-bucket, not both")
    if s3:
        return S3Bucket(s3, profile)
    return GcsBucket(gcs) if gcs else None
