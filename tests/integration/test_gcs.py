"""Behavior specific to GCS; the shared contract is in tests/contract/test_lakes.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud import storage
from prefect_gcp.cloud_storage import GcsBucket

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.lakes.gcs import GcsLake
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.trips.months import TripMonth

YELLOW = TripMonth("yellow", 2021, 1)


class TestLake:
    def test_block_with_a_url_instead_of_a_name_is_rejected(
        self, gcs_block: Callable[[], str]
    ) -> None:
        """Such a block can be made in the Prefect UI (prefect-gcp issue 118)."""
        block = GcsBucket.load(gcs_block())
        block.bucket = f"gs://{block.bucket}"
        with pytest.raises(InvalidInputError, match=r"'gs://.*', not just a name"):
            GcsLake(block)

    def test_put_prefixes_the_folder_of_the_block_once(
        self, gcs_block: Callable[[], str], tmp_path: Path
    ) -> None:
        name = gcs_block()
        for folder in ("trips", "data"):
            GcsBucket(bucket=name, bucket_folder=folder).save(f"{name}-{folder}")
        file = tmp_path / "file"
        file.write_bytes(b"trips")
        uris = {open_lake(f"gcs:{name}-{f}").put(file, YELLOW.key) for f in ("trips", "data")}
        assert uris == {f"gs://{name}/trips/{YELLOW.key}", f"gs://{name}/{YELLOW.key}"}
        names = {blob.name for blob in storage.Client().list_blobs(name)}
        assert names == {f"trips/{YELLOW.key}", YELLOW.key}

    def test_put_skips_an_identical_object(
        self, gcs_block: Callable[[], str], tmp_path: Path
    ) -> None:
        name = gcs_block()
        file = tmp_path / "file"
        file.write_bytes(b"0123456789abcdef" * 1_000_000)  # more than one chunk
        generations = []
        for content in (None, None, b"other"):
            if content:
                file.write_bytes(content)
            open_lake(f"gcs:{name}").put(file, YELLOW.key)
            blob = storage.Client().bucket(name).get_blob(YELLOW.key)
            generations.append((blob.generation, blob.updated))
        assert generations[0] == generations[1] != generations[2]

    def test_lake_reports_a_missing_block_or_bucket(
        self, gcs_block: Callable[[], str], tmp_path: Path
    ) -> None:
        with pytest.raises(
            InvalidInputError, match=r"gcs-bucket/none does not exist.*make_gcp_blocks\.py"
        ):
            open_lake("gcs:none")
        GcsBucket(bucket="not-there").save("not-there")
        file = tmp_path / "file"
        file.write_bytes(b"trips")
        lake = open_lake("gcs:not-there")
        for call in (lambda: lake.put(file, YELLOW.key), lambda: lake.get(YELLOW.key), lake.check):
            with pytest.raises(
                StorageError, match="the bucket gs://not-there does not exist; create"
            ):
                call()
