"""S3 from the block to the loaded months, by Amazon's own client, without Amazon."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import boto3
import pytest
from prefect_aws import MinIOCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from pydantic import SecretStr

from etl_web_to_bq import etl_web_to_bq
from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.errors import ConnectionLostError, InvalidInputError, StorageError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.lakes.s3 import PART, S3Lake
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site

YELLOW = TripMonth("yellow", 2021, 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"trips")
    return path


class TestLake:
    def test_folder_of_the_block_counts_once(
        self, s3_block: Callable[..., str], file: Path
    ) -> None:
        name = s3_block()
        for folder in ("trips", "data/"):
            S3Bucket(bucket_name=name, bucket_folder=folder).save(f"{name}-{folder[:4]}")
        where = {open_lake(f"s3:{name}-{f}").put(file, YELLOW.key) for f in ("trip", "data")}
        assert where == {f"s3://{name}/trips/{YELLOW.key}", f"s3://{name}/{YELLOW.key}"}

    def test_unchanged_file_is_not_sent_again(
        self, s3_block: Callable[..., str], big_file: Path
    ) -> None:
        name = s3_block()
        client = boto3.client("s3")
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        versions = []
        for content in (None, None, b"other"):
            if content:
                big_file.write_bytes(content)
            open_lake(f"s3:{name}").put(big_file, YELLOW.key)
            versions.append(client.head_object(Bucket=name, Key=YELLOW.key)["VersionId"])
        assert versions[0] == versions[1] != versions[2]

    def test_object_of_another_tool_is_never_stale(
        self, s3_block: Callable[..., str], file: Path
    ) -> None:
        """It has no checksum, so neither a local copy nor an upload may be skipped."""
        name = s3_block()
        lake, client = open_lake(f"s3:{name}"), boto3.client("s3")
        for content in (b"12345", b"54321"):
            client.put_object(Bucket=name, Key=YELLOW.key, Body=content)
            assert lake.get(YELLOW.key).read_bytes() == content
        lake.put(file, YELLOW.key)
        assert lake.get(YELLOW.key).read_bytes() == b"trips"

    def test_damaged_copy_is_downloaded_again(
        self, s3_block: Callable[..., str], file: Path
    ) -> None:
        lake = open_lake(f"s3:{s3_block()}")
        lake.put(file, YELLOW.key)
        lake.get(YELLOW.key).write_bytes(b"TRIPS")
        assert lake.get(YELLOW.key).read_bytes() == b"trips"

    def test_missing_block_and_bucket(self, s3_block: Callable[..., str], file: Path) -> None:
        s3_block()
        with pytest.raises(InvalidInputError, match=r"s3-bucket/none does not .*make_s3_block\.py"):
            open_lake("s3:none")
        S3Bucket(bucket_name="not-there").save("not-there")
        lake = open_lake("s3:not-there")
        for ask in (lambda: lake.put(file, YELLOW.key), lambda: lake.get(YELLOW.key), lake.check):
            with pytest.raises(StorageError, match="s3://not-there does not exist; create it"):
                ask()

    def test_block_with_minio_credentials(
        self, s3_block: Callable[..., str], file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The endpoint comes from the block, and no region is needed."""
        name = s3_block()
        credentials = MinIOCredentials(
            minio_root_user="key",
            minio_root_password=SecretStr("secret"),
            aws_client_parameters=AwsClientParameters(endpoint_url=os.environ["AWS_ENDPOINT_URL"]),
        )
        credentials.save(f"{name}-minio")
        S3Bucket(bucket_name=name, credentials=credentials).save(f"{name}-minio")
        for variable in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(variable)
        lake = open_lake(f"s3:{name}-minio")
        lake.put(file, YELLOW.key)
        assert lake.get(YELLOW.key).read_bytes() == b"trips"

    def test_requests_are_plain_and_signed_with_their_checksum(
        self, s3_block: Callable[..., str], big_file: Path
    ) -> None:
        """Older stores reject boto3's checksums or write them into the object (boto3 issue 4435).

        R2 accepts only parts of equal length (Arrow issue 34363).
        """
        lake = open_lake(f"s3:{s3_block()}")
        assert isinstance(lake, S3Lake)
        sent: list[tuple[dict[str, str], int]] = []

        def record(request: Any, **_: Any) -> None:
            if "partNumber" in request.url or request.method == "PUT":
                body = request.body.read()
                request.body.seek(0)
                headers = {
                    name.lower(): value.decode() if isinstance(value, bytes) else str(value)
                    for name, value in request.headers.items()
                }
                assert headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
                sent.append((headers, len(body)))

        lake.client.meta.events.register("before-send.s3", record)
        lake.put(big_file, YELLOW.key)
        assert sorted(length for _, length in sent)[1:] == [PART, PART]
        for headers, _ in sent:
            assert not [name for name in headers if "checksum" in name or "trailer" in name]
            assert "content-encoding" not in headers and "content-length" in headers

    def test_check_leaves_nothing_in_a_versioned_bucket(self, s3_block: Callable[..., str]) -> None:
        name = s3_block()
        client = boto3.client("s3")
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        open_lake(f"s3:{name}").check()
        left = client.list_object_versions(Bucket=name)
        assert "Versions" not in left and "DeleteMarkers" not in left
        assert not client.list_multipart_uploads(Bucket=name).get("Uploads")

    def test_object_replaced_while_it_is_read(
        self, s3_block: Callable[..., str], big_file: Path, file: Path
    ) -> None:
        lake = open_lake(f"s3:{s3_block()}")
        lake.put(big_file, YELLOW.key)
        with lake.open(YELLOW.key) as opened:
            opened.read(4)
            lake.put(file, YELLOW.key)
            opened.seek(-4, 2)
            with pytest.raises(ConnectionLostError, match=r"PreconditionFailed.*rerun"):
                opened.read()


def test_months_go_through_the_bucket(
    s3_block: Callable[..., str],
    site: Site,
    month_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = month_file(YELLOW, 5000)
    (site.folder / raw.name).write_bytes(raw.read_bytes())
    name = s3_block()
    monkeypatch.setenv("NYC_TAXI_LAKE", f"s3:{name}")
    assert etl_web_to_bq([1], 2021, "yellow") == 5000
    assert (tmp_path / "data" / "s3" / name / YELLOW.key).is_file()


def test_stopped_upload_is_aborted(s3_block: Callable[..., str], tmp_path: Path) -> None:
    """Its parts would stay in the bucket, invisible and paid for."""
    name = s3_block()
    big = tmp_path / "big"
    big.write_bytes(b"0123456789abcdef" * 8_000_000)
    lake, client = open_lake(f"s3:{name}"), boto3.client("s3")
    with stoppable() as stop, ThreadPoolExecutor(1) as pool:
        put = pool.submit(copy_context().run, lake.put, big, YELLOW.key)
        while not put.done() and not client.list_multipart_uploads(Bucket=name).get("Uploads"):
            time.sleep(0.01)
        stop.set()
        assert isinstance(put.exception(), Stopped)
    deadline = time.monotonic() + 30
    while client.list_multipart_uploads(Bucket=name).get("Uploads"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
