"""S3 from the block to the loaded months, by Amazon's own client, without Amazon."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from prefect_aws import AwsCredentials, MinIOCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from pydantic import SecretStr

from blocks.make_s3_block import make_s3_block
from etl_web_to_bq import etl_web_to_bq
from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.errors import ConnectionLostError, InvalidInputError, StorageError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.lakes.s3 import PART, S3Lake
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.fixed_responses import answering, s3_error
from tests.support.http_servers import run_server, write_certificate
from tests.support.processes import start

YELLOW = TripMonth("yellow", 2021, 1)
SECRET = "wJalrXUtnFEMI/K7MDENG"
ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}


def lake_at(url: str, **options: Any) -> S3Lake:
    """A lake whose requests are sent once."""
    credentials = AwsCredentials(
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key=SecretStr(SECRET),
        region_name="eu-west-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=url, config={**ONCE, **options}),
    )
    return S3Lake(S3Bucket(bucket_name="trips", credentials=credentials))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"trips")
    return path


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    """A file of three parts."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1000) * (2 * PART // 1000 + 1000))
    return path


class TestBlock:
    @pytest.fixture(autouse=True)
    def settings(self, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("NYC_TAXI_S3_BUCKET", "some-bucket")

    def test_keys_and_endpoint_are_saved_and_not_printed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_S3_FOLDER", "trips/")
        monkeypatch.setenv("NYC_TAXI_S3_ADDRESSING", "virtual")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}\n")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com/")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        make_s3_block()
        make_s3_block()
        printed = "".join(capsys.readouterr())
        assert "zoom-s3: s3://some-bucket/trips at https://s3.example.com, keys" in printed
        assert SECRET not in printed and "AKIAEXAMPLE" not in printed
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name)
        lake = open_lake("s3:zoom-s3")
        assert isinstance(lake, S3Lake)
        credentials = lake.client._request_signer._credentials
        assert (credentials.access_key, credentials.secret_key) == ("AKIAEXAMPLE", SECRET)
        place = {"Bucket": lake.bucket, "Key": "key"}
        url = lake.client.generate_presigned_url("get_object", place)
        assert url.startswith("https://some-bucket.s3.example.com/key?")
        assert lake.client.meta.region_name == "eu-west-1"

    def test_temporary_credentials_are_not_saved(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.setenv(name, SECRET)
        make_s3_block()
        assert "at Amazon, this machine's own credentials" in capsys.readouterr().out
        saved = cast(AwsCredentials, AwsCredentials.load("zoom-s3-creds"))
        assert not saved.aws_access_key_id and not saved.aws_session_token

    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("NYC_TAXI_S3_BUCKET", "", "is not set; set it to the name of the bucket"),
            ("NYC_TAXI_S3_BUCKET", "s3://some-bucket/", "write NYC_TAXI_S3_BUCKET=some-bucket$"),
            ("NYC_TAXI_S3_BUCKET", "b/trips", "=b and NYC_TAXI_S3_FOLDER=trips$"),
            ("NYC_TAXI_S3_BUCKET", "Some Bucket", "is not a valid bucket name: 3 to 63"),
            ("NYC_TAXI_S3_FOLDER", "/trips", "is not a valid folder"),
            ("NYC_TAXI_S3_ADDRESSING", "host", "NYC_TAXI_S3_ADDRESSING='host'"),
            ("AWS_ENDPOINT_URL_S3", "localhost:9000", "'localhost:9000' is not a URL"),
            ("AWS_ENDPOINT_URL", "https://x.r2.com/some-bucket", "holds the bucket's name"),
            ("AWS_ENDPOINT_URL", "https://some-bucket.fra1.spaces.com", "holds the bucket's name"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY is empty"),
        ],
    )
    def test_invalid_settings_are_rejected(
        self, name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(InvalidInputError, match=says):
            make_s3_block()

    def test_script_error_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NYC_TAXI_S3_BUCKET", "s3://some-bucket")
        with start("blocks/make_s3_block.py") as run:
            output = run.communicate()[0]
        assert run.returncode == 1
        assert output.startswith("error: NYC_TAXI_S3_BUCKET")
        assert len(output.splitlines()) == 1


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


class TestErrors:
    @pytest.mark.few(4)
    @pytest.mark.parametrize(
        ("status", "code", "retryable", "says"),
        [
            (503, "SlowDown", True, "not available"),
            (500, "InternalError", True, "not available"),
            (400, "RequestTimeout", True, "not available"),
            (429, "TooManyRequests", True, "not available"),
            (409, "OperationAborted", True, "not available"),
            (400, "XAmzContentSHA256Mismatch", True, "not available"),
            (404, "NoSuchBucket", False, "s3://trips does not exist; create it (aws s3 mb s3://t"),
            (400, "ExpiredToken", False, "the session has expired (ExpiredToken: sorry)"),
            (403, "InvalidAccessKeyId", False, "the credentials are not accepted"),
            (403, "SignatureDoesNotMatch", False, "the credentials are not accepted"),
            (401, "Unauthorized", False, "the credentials are not accepted"),
            (403, "AccessDenied", False, "lack rights (AccessDenied: sorry); grant them s3:List"),
            (403, "RequestTimeTooSkewed", False, "the clock of this machine"),
            (400, "AuthorizationHeaderMalformed", False, "another region"),
            (301, "PermanentRedirect", False, "another region"),
            (403, "SecondLevelDomainForbidden", False, "NYC_TAXI_S3_ADDRESSING=virtual"),
            (507, "XMinioStorageFull", False, "the store is full"),
            (404, "NoSuchKey", False, "not from an S3 API"),
            (501, "NotImplemented", False, "NotImplemented: sorry"),
        ],
    )
    def test_error_code_has_its_fix(
        self, status: int, code: str, retryable: bool, says: str, file: Path
    ) -> None:
        """The response to HEAD is the bare status; the reason comes with another request."""
        with answering(status, s3_error(code)) as url:
            lake = lake_at(url)
            for ask in (lake.check, lambda: lake.put(file, YELLOW.key)):
                with pytest.raises(StorageError) as problem:
                    ask()
                said = str(problem.value)
                assert (problem.value.retryable, says in said) == (retryable, True), said
                assert "\n" not in said and SECRET not in said and "AKIAEXAMPLE" not in said

    def test_web_console_is_not_the_api(self) -> None:
        page = b"<!doctype html><html><head><title>Console</title><body><br></body></html>"
        says = r"not from an S3 API.*AWS_ENDPOINT_URL_S3"
        with (
            answering(200, page, kind="text/html") as url,
            pytest.raises(StorageError, match=says),
        ):
            lake_at(url).check()

    def test_line_break_in_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """http.client quotes the whole header, with the key and the signature."""
        with answering(200, b"") as url:
            lake = lake_at(url)
            lake.client._request_signer._credentials.access_key += "\n"
            with pytest.raises(StorageError, match="a key contains a line break") as problem:
                lake.check()
        assert "AKIAEXAMPLE" not in str(problem.value)

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_private_certificate(
        self, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        certificate = write_certificate(tmp_path)
        with answering(404, s3_error("NoSuchBucket"), certificate) as url:
            with pytest.raises(StorageError, match=r"not trusted.*AWS_CA_BUNDLE") as problem:
                lake_at(url).check()
            assert not problem.value.retryable
            monkeypatch.setenv(variable, str(certificate))
            with pytest.raises(StorageError, match="does not exist"):
                lake_at(url).check()

    def test_tls_at_a_plain_port(self) -> None:
        says = "does not speak TLS; write http://"
        with answering(200, b"") as url, pytest.raises(StorageError, match=says):
            lake_at(url.replace("http", "https")).check()

    @pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
    def test_unreachable_endpoint(self, host: str) -> None:
        with pytest.raises(ConnectionLostError, match=r"not available \(Could not connect.*rerun"):
            lake_at(f"http://{host}").check()

    def test_connection_cut_during_an_upload(self, big_file: Path) -> None:
        def cut(connection: socket.socket) -> None:
            connection.recv(65536)

        with run_server(cut) as port, pytest.raises(ConnectionLostError, match="rerun"):
            lake_at(f"http://127.0.0.1:{port}").put(big_file, YELLOW.key)


class TestSilentServer:
    """A server that accepts connections and never responds."""

    @pytest.fixture
    def url(self) -> Iterator[str]:
        held = threading.Event()

        def wait(connection: socket.socket) -> None:
            held.wait(60)

        with run_server(wait) as port:
            yield f"http://127.0.0.1:{port}"
            held.set()

    def test_request_times_out(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NYC_TAXI_TIMEOUT", "0.3")
        began = time.monotonic()
        with pytest.raises(ConnectionLostError, match="Read timeout"):
            lake_at(url).check()
        assert time.monotonic() - began < 20

    def test_stop_does_not_wait_for_it(self, url: str) -> None:
        lake = lake_at(url)
        with stoppable() as stop, ThreadPoolExecutor(1) as pool:
            run = pool.submit(partial(copy_context().run, lake.check))
            time.sleep(0.3)
            stop.set()
            began = time.monotonic()
            assert isinstance(run.exception(), Stopped)
            assert time.monotonic() - began < 5


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
