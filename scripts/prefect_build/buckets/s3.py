"""Flow code in Amazon S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from prefect_aws import AwsCredentials

from nyc_taxi.errors import StorageError

from .base import StoredObject, find_credentials

BLOCK = "aws"
MAX_DELETIONS = 1000
"""Keys in one request, S3's limit."""


class S3Bucket:
    """Bucket of S3.

    Credentials: the profile, else the block aws-credentials/aws, else this machine's default ones.
    """

    def __init__(self, name: str, profile: str | None) -> None:
        self.name = name
        self.block = None if profile else find_credentials(AwsCredentials, BLOCK)
        with self._translate_errors():
            if self.block:
                self.client = self.block.get_s3_client()
            else:
                self.client = boto3.Session(profile_name=profile).client("s3")

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def objects(self) -> Iterator[StoredObject]:
        with self._translate_errors():
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name):
                for found in page.get("Contents", []):
                    yield StoredObject(found["Key"], found["LastModified"])

    def read(self, key: str) -> bytes:
        with self._translate_errors():
            body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            return body

    def write(self, key: str, data: bytes) -> None:
        with self._translate_errors():
            self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, keys: list[str]) -> None:
        with self._translate_errors():
            for first in range(0, len(keys), MAX_DELETIONS):
                batch = [{"Key": key} for key in keys[first : first + MAX_DELETIONS]]
                response = self.client.delete_objects(Bucket=self.name, Delete={"Objects": batch})
                if failed := response.get("Errors"):
                    key, reason = failed[0]["Key"], failed[0]["Message"]
                    raise StorageError(f"{self.url}: {key} cannot be deleted: {reason}")

    def pull_step(self, folder: str) -> dict[str, Any]:
        step: dict[str, Any] = {"bucket": self.name, "folder": folder}
        if self.block:
            step["credentials"] = f"{{{{ prefect.blocks.aws-credentials.{BLOCK} }}}}"
        return {"prefect_aws.deployments.steps.pull_from_s3": step}

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except ClientError as problem:
            code = problem.response["Error"]["Code"]
            if code == "NoSuchBucket":
                raise StorageError(
                    f"the bucket {self.url} does not exist; create it: aws s3 mb {self.url}"
                ) from problem
            message = problem.response["Error"].get("Message") or code
            raise StorageError(f"{self.url} rejected a request: {code}: {message}") from problem
        except BotoCoreError as problem:
            raise StorageError(
                f"{self.url}: {problem}; give --aws-profile or set AWS_... in .env"
            ) from problem
