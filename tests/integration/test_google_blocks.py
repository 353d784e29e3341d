"""The script that saves the blocks of GCP: what it keeps, updates and rejects."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from blocks.make_gcp_blocks import make_gcp_blocks
from nyc_taxi.errors import InvalidInputError
from tests.support.processes import start


class TestBlocks:
    @pytest.fixture(autouse=True)
    def no_blocks(self, gcs_block: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
        for kind, name in ((GcsBucket, "zoom-gcs"), (GcpCredentials, "zoom-gcp-creds")):
            try:
                kind.delete(name)
            except ValueError:
                continue
        monkeypatch.setenv("NYC_TAXI_GCS_BUCKET", "some-bucket")

    def test_script_creates_keeps_and_updates_blocks(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def outcomes() -> list[str]:
            make_gcp_blocks()
            return [line.split()[0] for line in capsys.readouterr().out.splitlines()]

        assert outcomes() == ["created", "created"]
        assert outcomes() == ["unchanged", "unchanged"]
        monkeypatch.setenv("NYC_TAXI_GCS_FOLDER", "trips")
        assert outcomes() == ["unchanged", "updated"]
        assert GcsBucket.load("zoom-gcs").bucket_folder == "trips/"
        assert outcomes() == ["unchanged", "unchanged"]
        monkeypatch.setenv("NYC_TAXI_GCP_PROJECT", "another-project")
        assert outcomes() == ["updated", "unchanged"]
        assert GcsBucket.load("zoom-gcs").gcp_credentials.project == "another-project"

    @pytest.mark.few(2)
    @pytest.mark.parametrize("by", ["path", "json", "base64", "real newlines", "BOM"])
    def test_script_stores_the_key_only_in_the_block(
        self,
        by: str,
        service_account_key: dict[str, str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "key.json"
        path.write_text(json.dumps(service_account_key), "utf-8-sig" if by == "BOM" else "utf-8")
        text = json.dumps(service_account_key)
        value = {
            "json": text,
            "base64": base64.encodebytes(text.encode()).decode(),
            "real newlines": text.replace("\\n", "\n"),
        }.get(by, str(path))
        monkeypatch.setenv("NYC_TAXI_GCP_CREDENTIALS", value)
        make_gcp_blocks()
        path.unlink()
        saved = GcpCredentials.load("zoom-gcp-creds")
        assert saved.service_account_info.get_secret_value() == service_account_key
        assert saved.project == "some-project"
        printed = "".join(capsys.readouterr())
        assert "flows@some-project" in printed
        assert service_account_key["private_key"].splitlines()[1] not in printed

    @pytest.mark.parametrize(
        ("bucket", "says"),
        [
            ("", "is not set; set it to the name of the bucket"),
            ("gs://some-bucket", "write NYC_TAXI_GCS_BUCKET=some-bucket$"),
            ("gs://some-bucket/", "write NYC_TAXI_GCS_BUCKET=some-bucket$"),
            ("some-bucket/trips/2021", "=some-bucket and NYC_TAXI_GCS_FOLDER=trips/2021$"),
            ("Some Bucket", "is not a valid bucket name"),
        ],
    )
    def test_script_rejects_an_invalid_bucket(
        self, bucket: str, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_GCS_BUCKET", bucket)
        with pytest.raises(InvalidInputError, match=says):
            make_gcp_blocks()

    @pytest.mark.parametrize("value", ["nowhere.json", "{", '{"type": "authorized_user"}', "{}"])
    def test_script_rejects_an_invalid_key(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_GCP_CREDENTIALS", value)
        with pytest.raises(InvalidInputError, match="NYC_TAXI_GCP_CREDENTIALS"):
            make_gcp_blocks()

    def test_damaged_key_is_not_printed(
        self, service_account_key: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was read as a path, whose length raised an OSError."""
        damaged = base64.b64encode(json.dumps(service_account_key).encode()).decode()[1:]
        monkeypatch.setenv("NYC_TAXI_GCP_CREDENTIALS", damaged)
        with pytest.raises(InvalidInputError, match=r"=\.\.\. cannot be read") as problem:
            make_gcp_blocks()
        assert damaged[:9] not in str(problem.value)

    @pytest.mark.slow
    def test_script_exits_1_with_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NYC_TAXI_GCS_BUCKET", "gs://some-bucket")
        with start("blocks/make_gcp_blocks.py") as run:
            output = run.communicate()[0]
        assert run.returncode == 1
        assert output.startswith("error: NYC_TAXI_GCS_BUCKET")
        assert len(output.splitlines()) == 1
