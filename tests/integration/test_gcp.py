"""Google Cloud from the blocks to the filled table, by Google's own clients, without Google."""

from __future__ import annotations

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
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.settings import settings
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.bigquery_dataframe import open_dataframes
from nyc_taxi.warehouses.registry import open_warehouse
from reference.zones.flow import zones
from synthetic_tlc import Site
from tests.support.google_refusals import google_error_server
from tests.support.processes import start

YELLOW = TripMonth("yellow", 2021, 1)
FILL = {"passenger_count": 0}


@pytest.fixture(scope="session")
def key() -> dict[str, str]:
    """A service account's key in Google's form, which no Google knows."""
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

    def test_made_kept_and_changed(
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

    @pytest.mark.parametrize("by", ["path", "json"])
    def test_the_key_goes_into_the_block_and_nowhere_else(
        self,
        by: str,
        key: dict[str, str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "key.json"
        path.write_text(json.dumps(key))
        monkeypatch.setenv(
            "NYC_TAXI_GCP_CREDENTIALS", str(path) if by == "path" else path.read_text()
        )
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
    def test_a_wrong_bucket_is_refused(
        self, bucket: str, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NYC_TAXI_GCS_BUCKET", bucket)
        with pytest.raises(InvalidInputError, match=says):
            make_gcp_blocks()

    @pytest.mark.parametrize("value", ["nowhere.json", "{", '{"type": "authorized_user"}', "{}"])
    def test_a_wrong_key_is_refused(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NYC_TAXI_GCP_CREDENTIALS", value)
        with pytest.raises(InvalidInputError, match="NYC_TAXI_GCP_CREDENTIALS"):
            make_gcp_blocks()

    def test_as_a_script(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NYC_TAXI_GCS_BUCKET", "gs://some-bucket")
        with start("blocks/make_gcp_blocks.py") as run:
            output = run.communicate()[0]
        assert run.returncode == 1
        assert output.startswith("error: NYC_TAXI_GCS_BUCKET")
        assert len(output.splitlines()) == 1


class TestLake:
    def test_the_folder_of_the_bucket_counts_once(
        self, gcs_block: Callable[[], str], tmp_path: Path
    ) -> None:
        name = gcs_block()
        for folder in ("trips", "data"):
            GcsBucket(bucket=name, bucket_folder=folder).save(f"{name}-{folder}")
        file = tmp_path / "file"
        file.write_bytes(b"trips")
        where = {open_lake(f"gcs:{name}-{f}").put(file, YELLOW.key) for f in ("trips", "data")}
        assert where == {f"gs://{name}/trips/{YELLOW.key}", f"gs://{name}/{YELLOW.key}"}
        names = {blob.name for blob in storage.Client().list_blobs(name)}
        assert names == {f"trips/{YELLOW.key}", YELLOW.key}

    def test_what_is_there_already_is_not_sent_again(
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

    def test_no_block_and_no_bucket(self, gcs_block: Callable[[], str], tmp_path: Path) -> None:
        with pytest.raises(
            InvalidInputError, match=r"gcs-bucket/none is not there.*make_gcp_blocks\.py"
        ):
            open_lake("gcs:none")
        GcsBucket(bucket="not-there").save("not-there")
        file = tmp_path / "file"
        file.write_bytes(b"trips")
        lake = open_lake("gcs:not-there")
        for ask in (lambda: lake.put(file, YELLOW.key), lambda: lake.get(YELLOW.key), lake.check):
            with pytest.raises(StorageError, match="there is no bucket gs://not-there; make it"):
                ask()


class TestWarehouse:
    @pytest.fixture
    def trips(self, month_file: Callable[..., Path], tmp_path: Path) -> Path:
        return conform(YELLOW, month_file(YELLOW, 5000)).write(tmp_path / "clean.parquet").path

    def test_the_table_is_made_for_how_trips_are_asked(
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

    def test_a_retried_run_does_not_load_twice(
        self, bigquery_block: str, trips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when BigQuery's answer to the last statement was lost."""
        monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__ID", "one-run")
        client = bigquery.Client(project=bigquery_block)
        jobs = []
        for _ in range(2):
            warehouse = open_warehouse(f"bigquery:{bigquery_block}")
            assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
            jobs.append({j.job_id for j in client.list_jobs() if "yellow" in j.job_id})
        assert jobs[0] == jobs[1]
        assert warehouse.count(YELLOW) == 5000

    def test_by_dataframe(self, bigquery_block: str, trips: Path) -> None:
        warehouse = open_warehouse(f"bigquery:{bigquery_block}", "dataframe")
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
        assert warehouse.replace_month(YELLOW, trips, FILL) == 5000
        assert warehouse.count(YELLOW) == 5000
        with pytest.raises(InvalidInputError, match="only BigQuery takes DataFrames"):
            open_warehouse("duckdb:some.duckdb", "dataframe")

    def test_a_table_that_is_not_ours_is_refused(self, bigquery_block: str, trips: Path) -> None:
        client = bigquery.Client(project=bigquery_block)
        client.query_and_wait("CREATE SCHEMA dezoomcamp")
        client.query_and_wait("CREATE TABLE dezoomcamp.rides (a INT64)")
        warehouse = open_warehouse(f"bigquery:{bigquery_block}")
        with pytest.raises(StorageError, match="rides is a table"):
            warehouse.replace_month(YELLOW, trips, FILL)
        assert warehouse.count(YELLOW) == 0

    def test_a_table_that_has_no_columns_yet_is_waited_for(
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
    """The flows' lake and warehouse are Google's; the name of the project."""
    monkeypatch.setenv("NYC_TAXI_LAKE", f"gcs:{gcs_block()}")
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", f"bigquery:{bigquery_block}")
    return bigquery_block


def put_on(site: Site, raw: Path) -> None:
    (site.folder / raw.name).write_bytes(raw.read_bytes())


class TestFlows:
    @pytest.mark.slow
    def test_real_months_of_two_eras(
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

    def test_the_file_does_not_pass_through_this_machine(
        self, google: str, site: Site, month_file: Callable[..., Path], tmp_path: Path
    ) -> None:
        raw = month_file(YELLOW, 5000)
        put_on(site, raw)
        assert etl_web_to_bq([1], 2021, "yellow") == 5000
        assert not (tmp_path / "data" / "gcs").exists()
        assert etl_web_to_bq([1], 2021, "yellow", method="dataframe") == 5000
        assert (tmp_path / "data" / "gcs").exists()


class TestDoctor:
    @pytest.fixture(autouse=True)
    def no_work_pools(self, prefect_server: None) -> None:
        """The tests' server has those of other tests, without workers."""
        with get_client(sync_client=True) as client:
            for pool in client.read_work_pools():
                client.delete_work_pool(pool.name)

    def lines(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
        code = doctor.main()
        return code, capsys.readouterr().out.splitlines()

    def test_all_is_well(
        self,
        google: str,
        site: Site,
        month_file: Callable[..., Path],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        raw = month_file(YELLOW, 5000)
        put_on(site, raw)
        code, lines = self.lines(capsys)
        assert code == 0
        assert [line.split()[:2] for line in lines] == [
            ["server", "ok"],
            ["workers", "ok"],
            ["source", "ok"],
            ["lake", "ok"],
            ["warehouse", "ok"],
        ]

    def test_nothing_is_well(
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


class TestRefused:
    def test_wrong_credentials(
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
            says = r"does not accept the credentials \(.*make_gcp_blocks\.py"
            with pytest.raises(StorageError, match=says):
                open_lake("gcs:wrong").put(month_file(YELLOW, 5000), YELLOW.key)
            with pytest.raises(StorageError, match=says):
                open_warehouse("bigquery:wrong").count(YELLOW)

    def test_missing_rights(
        self, google: str, month_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = month_file(YELLOW, 5000)
        with google_error_server(403, "accessDenied", "flows@x lacks bigquery.datasets.get") as url:
            monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
            says = r"lacks rights \(flows@x lacks .*\); grant it roles/"
            with pytest.raises(StorageError, match=says + "bigquery.user"):
                open_warehouse(f"bigquery:{google}").replace_month(YELLOW, file, FILL)
            with pytest.raises(StorageError, match=says + "storage.objectUser"):
                open_lake(settings().lake).put(file, YELLOW.key)


class TestStopped:
    """An emulator that is stopped in the middle: an error within a minute, in one line."""

    def test_storage(
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
            began = self.stop_after(1, server)
            with pytest.raises(StorageError, match=r"gs://own gave no answer.*run this again"):
                lake.put(file, YELLOW.key)
            assert time.monotonic() - began < 60

    @pytest.mark.slow
    def test_bigquery(
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
            began = self.stop_after(0.7, server)
            with pytest.raises(StorageError, match=r"BigQuery, .* gave no answer.*run this again"):
                warehouse.replace_month(YELLOW, trips, FILL)
            assert time.monotonic() - began < 60

    @staticmethod
    def stop_after(seconds: float, server: Service) -> float:
        process = server.process()
        assert process
        threading.Timer(seconds, process.kill).start()
        return time.monotonic()


class TestEmulators:
    def test_a_server_is_ready_once_it_is_started_and_gone_once_stopped(
        self, tmp_path: Path
    ) -> None:
        server = gcs(tmp_path)
        assert not server.process()
        with running(server):
            assert server.answers()
            server.start()  # it runs already
            taken = gcs(tmp_path / "other", server.port)
            with pytest.raises(Exception, match="is taken"):
                taken.start()
        assert not server.process()
        assert not server.answers()
        server.stop()  # it has ended already

    def test_a_server_that_ends_at_once(self, tmp_path: Path) -> None:
        command = (sys.executable, "-c", "raise SystemExit('no')", str(tmp_path))
        with pytest.raises(Exception, match=r"broken does not start; see .*broken\.log"):
            Service("broken", tmp_path, command, port=1).start()
