"""Flow code in Amazon's S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from prefect_aws import AwsCredentials

from buckets import Object, saved_block
from nyc_taxi.errors import StorageError

BLOCK = "aws"


class S3Bucket:
    def __init__(self, name: str, profile: str | None) -> None:
        """Rights from the profile, else the block aws-credentials/aws, else the machine's own."""
        self.name = name
        self.block = None if profile else saved_block(AwsCredentials, BLOCK)
        with self._translating_errors():
            if self.block:
                self.client = self.block.get_s3_client()
            else:
                self.client = boto3.Session(profile_name=profile).client("s3")

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def objects(self) -> Iterator[Object]:
        with self._translating_errors():
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name):
                for found in page.get("Contents", []):
                    yield Object(found["Key"], found["LastModified"])

    def read(self, key: str) -> bytes:
        with self._translating_errors():
            body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            return body

    def write(self, key: str, data: bytes) -> None:
        with self._translating_errors():
            self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, keys: list[str]) -> None:
        with self._translating_errors():
            for first in range(0, len(keys), 1000):
                some = [{"Key": key} for key in keys[first : first + 1000]]
                answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": some})
                if kept := answer.get("Errors"):
                    key, reason = kept[0]["Key"], kept[0]["Message"]
                    raise StorageError(f"{self.url} does not delete {key}: {reason}")

    def pull_step(self, folder: str) -> dict[str, Any]:
        step: dict[str, Any] = {"bucket": self.name, "folder": folder}
        if self.block:
            step["credentials"] = f"{{{{ prefect.blocks.aws-credentials.{BLOCK} }}}}"
        return {"prefect_aws.deployments.steps.pull_from_s3": step}

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except ClientError as problem:
            code = problem.response["Error"]["Code"]
            if code == "NoSuchBucket":
                raise StorageError(
                    f"there is no bucket {self.url}; make it: aws s3 mb {self.url}"
                ) from problem
            said = problem.response["Error"].get("Message") or code
            raise StorageError(f"{self.url} refuses: {code}: {said}") from problem
        except BotoCoreError as problem:
            raise StorageError(
                f"{self.url}: {problem}; give --aws-profile, or set the AWS_ lines of .env"
            ) from problem
