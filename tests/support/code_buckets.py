"""Buckets for flow code, and build.py for one of them."""

from __future__ import annotations

import subprocess
from typing import Any

import boto3
from google.cloud import storage
from prefect.client.schemas.responses import DeploymentResponse

from tests.support.prefect_systems import System
from tests.support.project_factory import Checkout

POOL = "code-pool"


class S3:
    """A bucket of moto's S3 server."""

    def __init__(self, name: str, make: bool = True) -> None:
        self.url = f"s3://{name}"
        self.options = ("--s3-bucket", name)
        self.bucket = boto3.resource("s3").Bucket(name)
        if make:
            self.bucket.create()

    def objects(self) -> dict[str, Any]:
        """Return each key and when it was written."""
        return {item.key: item.last_modified for item in self.bucket.objects.all()}

    def read(self, key: str) -> bytes:
        return bytes(self.bucket.Object(key).get()["Body"].read())

    def write(self, key: str, text: str) -> None:
        self.bucket.put_object(Key=key, Body=text.encode())

    def delete(self, key: str) -> None:
        self.bucket.Object(key).delete()


class Gcs:
    """A bucket of the GCS emulator."""

    def __init__(self, name: str, make: bool = True) -> None:
        self.url = f"gs://{name}"
        self.options = ("--gcs-bucket", name)
        self.bucket = storage.Client().bucket(name)
        if make:
            self.bucket.create()

    def objects(self) -> dict[str, Any]:
        return {blob.name: blob.updated for blob in self.bucket.list_blobs()}

    def read(self, key: str) -> bytes:
        return bytes(self.bucket.blob(key).download_as_bytes())

    def write(self, key: str, text: str) -> None:
        self.bucket.blob(key).upload_from_string(text)

    def delete(self, key: str) -> None:
        self.bucket.blob(key).delete()


Place = S3 | Gcs


class Builder:
    """build.py for one checkout, bucket and server."""

    def __init__(self, system: System, checkout: Checkout, place: Place) -> None:
        self.system, self.checkout, self.place = system, checkout, place
        self.options = (*place.options, "--work-pool", POOL)

    def __call__(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.checkout.build(*self.options, *options)

    def verify(self, **env: str) -> str:
        return self.checkout.build(*self.place.options, "--verify", **env).stdout

    @property
    def deployment(self) -> DeploymentResponse:
        with self.system.client as client:
            return client.read_deployment_by_name("greeting/default")

    @property
    def folder(self) -> str:
        return f"greeting/flow/{self.deployment.version}"
