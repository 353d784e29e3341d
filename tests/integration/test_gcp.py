"""GCS and BigQuery with Google's clients and local emulators: blocks, lake, warehouse, flows."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import bigquery, storage
from prefect.client.orchestration import get_client
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from blocks.make_gcp_blocks import make_gcp_blocks
from etl_web_to_bq import etl_web_to_bq
from local_services import Service, client_environment, gcs, running
from local_services import bigquery as bigquery_emulator
from nyc_taxi import doctor
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.lakes.gcs import GcsLake
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.settings import settings
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.table_comments import Comments
from nyc_taxi.warehouses.bigquery.dataframe import open_dataframes
from nyc_taxi.warehouses.bigquery.dataset import Dataset
from nyc_taxi.warehouses.registry import open_warehouse
from reference.zones.flow import zones
from synthetic_tlc import Site
from tests.support.fixed_responses import google_error_server
from tests.support.processes import start

YELLOW = TripMonth("yellow", 2021, 1)
FILL = {"passenger_count": 0}


@pytest.fixture(scope="session")
def key() -> dict[str, str]:
    """Well-formed service account key that does not exist at Google."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "some-project",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "flows@some-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


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

    @pytest.mark.parametrize("by", ["path", "json", "base64", "real newlines", "BOM"])
    def test_script_stores_the_key_only_in_the_block(
        self,
        by: str,
        key: dict[str, str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "key.json"
        path.write_text(json.dumps(key), "utf-8-sig" if by == "BOM" else "utf-8")
        text = json.dumps(key)
        value = {
            "json": text,
            "base64": base64.encodebytes(text.encode()).decode(),
            "real newlines": text.replace("\\n", "\n"),
        }.get(by, str(path))
        monkeypatch.setenv("NYC_TAXI_GCP_CREDENTIALS", value)
        make_gcp_blocks()
        path.unlink()
        saved = GcpCredentials.load("zoom-gcp-creds")
        assert saved.service_account_info.get_secret_value() == key
        assert saved.project == "some-project"
        printed = "".join(capsys.readouterr())
        assert "flows@some-project" in printed
        assert key["private_key"].splitlines()[1] not in printed

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
        self, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was read as a path, whose length raised an OSError."""
        damaged = base64.b64encode(json.dumps(key).encode()).decode()[1:]
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


class TestWarehouse:
    @pytest.fixture
    def trips(self, month_file: Callable[..., Path], tmp_path: Path) -> Path:
        return conform(YELLOW, month_file(YELLOW, 5000)).write(tmp_path / "clean.parquet").path

    def test_load_creates_a_partitioned_and_clustered_table(
        self, bigquery_block: str, trips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_BQ_LOCATION", "EU")
        open_warehouse(f"bigquery:{bigquery_block}").replace_month(YELLOW, trips, FILL)
        client = bigquery.Client(project=bigquery_block)
        assert client.get_dataset("dezoomcamp").location == "EU"
        table = client.get_table("dezoomcamp.yellow_rides")
        assert (table.time_partitioning.type_, table.time_partitioning.field) == (
            "MONTH",
            "trip_month",
        )
        assert table.clustering_fields == ["PULocationID", "tpep_pickup_datetime"]
        kinds = {field.name: field.field_type for field in table.schema}
        assert kinds["tpep_pickup_datetime"] == "DATETIME"
        assert (kinds["passenger_count"], kinds["total_amount"]) == ("INTEGER", "FLOAT")
        left = {table.table_id for table in client.list_tables("dezoomcamp")}
        assert left == {"yellow_rides", "rides", "loads"}

    @pytest.mark.slow
    def test_comments_of_a_view_that_another_run_replaced(self, bigquery_block: str) -> None:
        dataset = Dataset(GcpCredentials.load(bigquery_block))
        dataset.create()
        view = dataset.table("rides")
        dataset.client.query_and_wait(f"CREATE VIEW `{view}` AS SELECT 1 AS a, 2 AS b")
        seen = dataset.find(view)
        dataset.client.query_and_wait(f"CREATE OR REPLACE VIEW `{view}` AS SELECT 1 AS a")
        dataset.comment(view, Comments("Rides.", {"a": "First."}), seen)
        found = dataset.client.get_table(view)
        assert (found.description, found.schema[0].description) == ("Rides.", "First.")

    @pytest.mark.slow
    def test_retried_task_reattaches_to_its_jobs(
        self, bigquery_block: str, trips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when the response to the last statement was lost."""
        monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__ID", "one-run")
        client = bigquery.Client(project=bigquery_block)
        jobs = []
        for _ in range(2):
            warehouse = open_warehouse(f"bigquery:{bigquery_block}")
            assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
            jobs.append({j.job_id for j in client.list_jobs() if "yellow" in j.job_id})
        assert jobs[0] == jobs[1]
        assert warehouse.count(YELLOW) == 5000

    @pytest.mark.slow
    def test_load_by_dataframe_is_idempotent(self, bigquery_block: str, trips: Path) -> None:
        warehouse = open_warehouse(f"bigquery:{bigquery_block}", "dataframe")
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
        assert warehouse.count(YELLOW) == 5000
        with pytest.raises(InvalidInputError, match="only BigQuery supports --method dataframe"):
            open_warehouse("duckdb:some.duckdb", "dataframe")

    def test_load_rejects_a_table_named_rides(self, bigquery_block: str, trips: Path) -> None:
        client = bigquery.Client(project=bigquery_block)
        client.query_and_wait("CREATE SCHEMA dezoomcamp")
        client.query_and_wait("CREATE TABLE dezoomcamp.rides (a INT64)")
        warehouse = open_warehouse(f"bigquery:{bigquery_block}")
        with pytest.raises(StorageError, match="rides is a table"):
            warehouse.replace_month(YELLOW, trips, FILL)
        assert warehouse.count(YELLOW) == 0

    @pytest.mark.slow
    def test_load_waits_for_the_columns_of_a_new_table(
        self, bigquery_block: str, trips: Path
    ) -> None:
        client = bigquery.Client(project=bigquery_block)
        client.create_dataset("dezoomcamp")
        client.create_table(f"{bigquery_block}.dezoomcamp.yellow_rides")
        warehouse = open_warehouse(f"bigquery:{bigquery_block}")
        with pytest.raises(StorageError, match="yellow_rides has no column trip_month"):
            warehouse.replace_month(YELLOW, trips, FILL)
        threading.Timer(1, client.delete_table, ["dezoomcamp.yellow_rides"]).start()
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000


@pytest.fixture
def google(
    gcs_block: Callable[[], str], bigquery_block: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Set lake and warehouse to the emulators; returns the project."""
    monkeypatch.setenv("NYC_TAXI_LAKE", f"gcs:{gcs_block()}")
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", f"bigquery:{bigquery_block}")
    return bigquery_block


def publish(site: Site, raw: Path) -> None:
    (site.folder / raw.name).write_bytes(raw.read_bytes())


class TestFlows:
    @pytest.mark.slow
    def test_flow_loads_published_files_of_two_eras(
        self, google: str, real: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = real / "trip-data"
        with Site(real) as site:
            monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"{site.url}/trip-data")
            rows = [
                etl_web_to_bq(months, year, "green")
                for year, months in ((2021, [1, 2]), (2025, [1]), (2021, [1]))
            ]
            assert zones() == 265
        assert rows == [76518 + 64572, 48326, 76518]
        sums = "count(*), round(sum(total_amount), 2)"
        rides = bigquery.Client(project=google).query_and_wait(
            f"SELECT {sums}, count(cbd_congestion_fee), sum(PULocationID), "
            "count(*) - count(passenger_count) FROM dezoomcamp.green_rides "
            "GROUP BY trip_month ORDER BY trip_month"
        )
        with duckdb.connect() as db:
            expected = [
                db.execute(
                    f"SELECT {sums}, {fee}, sum(PULocationID), 0 "
                    f"FROM '{files}/green_tripdata_{month}.parquet'"
                ).fetchone()
                for month, fee in (
                    ("2021-01", "0"),
                    ("2021-02", "0"),
                    ("2025-01", "count(cbd_congestion_fee)"),
                )
            ]
        assert [row.values() for row in rides] == expected
        last = open_dataframes(f"bigquery:{google}").query(
            "SELECT LocationID, Borough, Zone FROM dezoomcamp.zones WHERE LocationID > 263 "
            "ORDER BY LocationID"
        )
        assert last.values.tolist() == [
            [264, "Unknown", "N/A"],
            [265, "N/A", "Outside of NYC"],
        ]

    def test_flow_loads_from_gcs_without_a_local_copy(
        self, google: str, site: Site, month_file: Callable[..., Path], tmp_path: Path
    ) -> None:
        raw = month_file(YELLOW, 5000)
        publish(site, raw)
        assert etl_web_to_bq([1], 2021, "yellow") == 5000
        assert not (tmp_path / "data" / "gcs").exists()
        assert etl_web_to_bq([1], 2021, "yellow", method="dataframe") == 5000
        assert (tmp_path / "data" / "gcs").exists()


class TestDoctor:
    @pytest.fixture(autouse=True)
    def no_work_pools(self, prefect_server: None) -> None:
        """Delete the work pools of other tests, which have no workers."""
        with get_client(sync_client=True) as client:
            for pool in client.read_work_pools():
                client.delete_work_pool(pool.name)

    def lines(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
        code = doctor.main()
        return code, capsys.readouterr().out.splitlines()

    def test_doctor_passes_every_check(
        self,
        google: str,
        site: Site,
        month_file: Callable[..., Path],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        raw = month_file(YELLOW, 5000)
        publish(site, raw)
        code, lines = self.lines(capsys)
        assert code == 0
        assert [line.split()[:2] for line in lines] == [
            ["server", "ok"],
            ["workers", "ok"],
            ["source", "ok"],
            ["lake", "ok"],
            ["warehouse", "ok"],
        ]

    def test_doctor_reports_every_failure(
        self,
        prefect_server: None,
        site: Site,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_LAKE", "gcs:none")
        monkeypatch.setenv("NYC_TAXI_WAREHOUSE", "bigquery:none")
        code, lines = self.lines(capsys)
        assert code == 1
        assert [line.split()[1] for line in lines] == ["ok"] * 2 + ["failed"] * 3
        assert "set NYC_TAXI_SOURCE_URL" in lines[2]
        assert all("python blocks/make_gcp_blocks.py" in line for line in lines[3:])


class TestErrors:
    def test_invalid_credentials_are_reported(
        self,
        google: str,
        key: dict[str, str],
        gcs_block: Callable[[], str],
        month_file: Callable[..., Path],
    ) -> None:
        with google_error_server(400, "invalid_grant", "Invalid JWT Signature.") as url:
            credentials = GcpCredentials(service_account_info={**key, "token_uri": f"{url}/token"})
            credentials.save("wrong")
            GcsBucket(bucket=gcs_block(), gcp_credentials=credentials).save("wrong")
            says = r"rejected the credentials \(.*make_gcp_blocks\.py"
            with pytest.raises(StorageError, match=says):
                open_lake("gcs:wrong").put(month_file(YELLOW, 5000), YELLOW.key)
            with pytest.raises(StorageError, match=says):
                open_warehouse("bigquery:wrong").count(YELLOW)

    def test_missing_permissions_are_reported(
        self, google: str, month_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = month_file(YELLOW, 5000)
        with google_error_server(403, "accessDenied", "flows@x lacks bigquery.datasets.get") as url:
            monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
            says = r"lacks permissions \(flows@x lacks .*\); grant roles/"
            with pytest.raises(StorageError, match=says + "bigquery.user"):
                open_warehouse(f"bigquery:{google}").replace_month(YELLOW, file, FILL)
            with pytest.raises(StorageError, match=says + "storage.objectUser"):
                open_lake(settings().lake).put(file, YELLOW.key)


class TestLostConnection:
    """An emulator that is killed during a load: a one-line error within a minute."""

    @pytest.mark.slow
    def test_gcs_upload_reports_a_lost_connection(
        self,
        gcs_block: Callable[[], str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"0123456789abcdef" * 8_000_000)
        with running(gcs(tmp_path, bucket="own")) as server:
            for name, value in client_environment(server, None).items():
                monkeypatch.setenv(name, value)
            GcsBucket(bucket="own").save("own")
            lake = open_lake("gcs:own")
            began = self.kill_after(1, server)
            with pytest.raises(StorageError, match=r"gs://own did not respond.*rerun"):
                lake.put(file, YELLOW.key)
            assert time.monotonic() - began < 60

    @pytest.mark.slow
    def test_bigquery_load_reports_a_lost_connection(
        self,
        bigquery_block: str,
        month_file: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        trips = conform(YELLOW, month_file(YELLOW, 600_000)).write(tmp_path / "trips.parquet").path
        with running(bigquery_emulator(tmp_path)) as server:
            monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
            warehouse = open_warehouse(f"bigquery:{bigquery_block}")
            began = self.kill_after(0.7, server)
            with pytest.raises(StorageError, match=r"BigQuery, .* did not respond.*rerun"):
                warehouse.replace_month(YELLOW, trips, FILL)
            assert time.monotonic() - began < 60

    @staticmethod
    def kill_after(seconds: float, server: Service) -> float:
        process = server.process()
        assert process
        threading.Timer(seconds, process.kill).start()
        return time.monotonic()


class TestEmulators:
    def test_service_is_ready_after_start_and_gone_after_stop(self, tmp_path: Path) -> None:
        server = gcs(tmp_path)
        assert not server.process()
        with running(server):
            assert server.answers()
            server.start()  # a no-op
            taken = gcs(tmp_path / "other", server.port)
            with pytest.raises(Exception, match="is in use"):
                taken.start()
        assert not server.process()
        assert not server.answers()
        server.stop()  # a no-op

    def test_service_that_exits_at_once_is_reported(self, tmp_path: Path) -> None:
        command = (sys.executable, "-c", "raise SystemExit('no')", str(tmp_path))
        with pytest.raises(Exception, match=r"broken did not start; see .*broken\.log"):
            Service("broken", tmp_path, command, port=1).start()
