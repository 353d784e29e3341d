"""The S3 block: what is saved, what is not, and settings that are rejected."""

from __future__ import annotations

import os
from typing import cast

import pytest
from prefect_aws import AwsCredentials

from blocks.make_s3_block import make_s3_block
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.lakes.s3 import S3Lake
from nyc_taxi.trips.months import TripMonth
from tests.support.processes import start
from tests.support.s3_lakes import SECRET

YELLOW = TripMonth("yellow", 2021, 1)


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
