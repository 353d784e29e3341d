"""Fixtures of all tests, including those in the flow folders: files, TLC site, servers, settings.

Services are real: a Prefect server, PostgreSQL, emulators of GCS and BigQuery, a web server.
"""

import functools
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from tests.support.environment import install_environment

import boto3
import botocore.session
import httpx
import psycopg2
import pytest
from google.cloud import bigquery as google_bigquery
from google.cloud import storage
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.configuration import set_hypothesis_home_dir
from prefect.blocks.core import Block
from prefect_aws import S3Bucket
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from local_services import (
    Python313NotFoundError,
    Service,
    bigquery,
    client_environment,
    gcs,
    running,
)
from local_services.postgres import PostgresServer
from local_services.process import NO_CERTIFICATES, free_port
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site, write_month, write_zones
from synthetic_tlc.open_meteo import OpenMeteo
from tests.support.aws import minio_server, moto_server
from tests.support.built_lakehouses import duck, elephant, iceberg, lakehouse  # noqa: F401
from tests.support.clusters import cluster, hadoop, hadoop_servers, sources  # noqa: F401
from tests.support.column_rules import hash_key, write_rules  # noqa: F401
from tests.support.google import google_project, service_account_key  # noqa: F401
from tests.support.interrupts import published_months, run_script  # noqa: F401
from tests.support.month_loads import clean, small_month  # noqa: F401
from tests.support.postgres import own_postgres, own_postgres_server  # noqa: F401
from tests.support.prefect_homes import pytest_sessionstart  # noqa: F401
from tests.support.prefect_systems import (  # noqa: F401
    LIGHTWEIGHT_SERVER,
    bare_system,
    page,
    prefect_service,
    system,
    use_prefect_server,
)
from tests.support.processes import ROOT
from tests.support.s3_lakes import big_file  # noqa: F401
from tests.support.services import NO_SERVICE, pytest_sessionfinish  # noqa: F401
from tests.support.spark import spark  # noqa: F401
from tests.support.tiers import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_xdist_make_scheduler,
)
from tests.support.warehouses import target  # noqa: F401
from tests.support.work_pools import google_credentials, save_pool  # noqa: F401

# Background jobs of a shell ignore SIGINT, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# For speed: boto3 reads AWS's descriptions per client, Prefect makes a block's schema per field.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
any_block: Any = Block
cached_schema: Any = functools.cache(any_block.model_json_schema.__func__)
any_block.model_json_schema = classmethod(cached_schema)

REAL_FILES = ROOT.parent / "shared" / "tlc"
"""Published files of the TLC, in an optional folder next to the checkout."""

set_hypothesis_home_dir(ROOT / ".pytest_cache" / "hypothesis")
# Deterministic examples; `make test-all` tries more of them.
hypothesis_settings.register_profile(
    "default",
    max_examples=int(os.environ.get("NYC_TAXI_TEST_EXAMPLES", "10")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.load_profile("default")


@pytest.fixture(autouse=True)
def isolated_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own lake, warehouse and data folder."""
    monkeypatch.setenv("NYC_TAXI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NYC_TAXI_LAKE", f"local:{tmp_path / 'lake'}")
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", f"duckdb:{tmp_path / 'warehouse.duckdb'}")
    monkeypatch.setenv("NYC_TAXI_WAIT", "30")


@pytest.fixture
def real() -> Path:
    if not REAL_FILES.is_dir():
        pytest.skip("the published TLC files are not available next to the checkout")
    return REAL_FILES


_own_servers: list[str] = []
"""API URL of the tests' Prefect server, while it is running."""


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect server with its own database, also used by scripts that a test starts."""
    os.environ.update(LIGHTWEIGHT_SERVER)
    service = prefect_service(tmp_path_factory.mktemp("prefect"))
    with running(service), use_prefect_server(service) as url:
        os.environ["PREFECT_API_URL"] = url
        os.environ["PREFECT_API_SSL_CERT_FILE"] = str(service.folder / "ca.pem")
        _own_servers.append(url)
        yield
        _own_servers.clear()
        del os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_SSL_CERT_FILE"]


@pytest.fixture(scope="module", autouse=True)
def delete_blocks_after_module() -> Iterator[None]:
    """Delete saved blocks after each test file: they change how flows behave."""
    yield
    for url in _own_servers:  # never the user's own server
        with httpx.Client(base_url=f"{url}/block_documents/", verify=NO_CERTIFICATES) as client:
            for document in client.post("filter", json={}).json():
                client.delete(document["id"])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of NYC_TAXI_TEST_POSTGRES_URL, or of a server started for the tests."""
    if url := os.environ.get("NYC_TAXI_TEST_POSTGRES_URL"):
        yield url
        return
    with TemporaryDirectory(prefix="pg-") as folder:  # short, for the Unix socket in it
        Path(folder).chmod(0o711)  # root runs PostgreSQL as an unprivileged user
        server = PostgresServer(Path(folder) / "data", free_port())
        server.up()
        yield server.url
        server.down()


@pytest.fixture
def postgres(
    postgres_server: str, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """URL of an empty database; POSTGRES_URL is set to it during the test."""
    name = f"test_{uuid4().hex}"
    url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
    with closing(psycopg2.connect(postgres_server)) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(f"CREATE DATABASE {name}")
        monkeypatch.setenv("POSTGRES_URL", url)
        yield url
        others = f"FROM pg_stat_activity WHERE datname = '{name}'"
        cursor.execute(
            f"SELECT pg_terminate_backend(pid) {others}"
        )  # WITH (FORCE) needs version 13
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Empty local TLC site, set as the flows' source."""
    (tmp_path / "site").mkdir()
    # Reading the CA certificates before every fetch took most of the tests' time.
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "site"))
    with Site(tmp_path / "site") as site:
        monkeypatch.setenv("NYC_TAXI_SOURCE_URL", site.url)
        yield site


@pytest.fixture
def served_site(site: Site) -> Site:
    """The site with one short file, `file`."""
    (site.folder / "file").write_bytes(b"content")
    return site


@pytest.fixture
def misc(tmp_path: Path) -> Path:
    """Folder with synthetic zone files."""
    return write_zones(tmp_path / "misc").parent


@pytest.fixture(scope="session")
def open_meteo_server() -> Iterator[OpenMeteo]:
    with OpenMeteo(limit=float("inf")) as server:
        yield server


@pytest.fixture
def open_meteo(
    open_meteo_server: OpenMeteo, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenMeteo]:
    """Stand-in for Open-Meteo, set as the flows' source of air quality and weather."""
    monkeypatch.setenv("NYC_TAXI_AIR_QUALITY_URL", open_meteo_server.air_quality_url)
    monkeypatch.setenv("NYC_TAXI_WEATHER_URL", open_meteo_server.weather_url)
    open_meteo_server.requests.clear()
    yield open_meteo_server
    open_meteo_server.heal()
    open_meteo_server.revision = 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Download folder."""
    return tmp_path / "raw"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mounted file system of 4 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(mounted)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.fixture(scope="session")
def month_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Generate a synthetic month, once per session: month_file(trips, rows, format="parquet")."""
    folder = tmp_path_factory.mktemp("months")

    def make(trips: TripMonth, rows: int, format: str = "parquet", seed: int = 0) -> Path:
        parent = folder / f"{rows}-{seed}"
        parent.mkdir(exist_ok=True)
        path = parent / f"{trips.stem}.{format}"
        if not path.exists():
            write_month(
                parent, trips.color, trips.year, trips.month, rows, seed=seed, format=format
            )
        return path

    return make


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(gcs(tmp_path_factory.mktemp("google"))) as server:
        yield server


@pytest.fixture(scope="session")
def bigquery_server(gcs_server: Service) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in install_environment().items():
            patch.setenv(name, value)
        try:
            server = bigquery(gcs_server.folder)
        except Python313NotFoundError as problem:
            pytest.skip(f"{NO_SERVICE}{problem}")
    with running(server):
        yield server


@pytest.fixture
def gcs_block(
    gcs_server: Service, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Create a bucket in the emulator and its GcsBucket block; gcs_block() returns their name."""
    for name, value in client_environment(gcs_server, None).items():
        monkeypatch.setenv(name, value)

    def make() -> str:
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        storage.Client().create_bucket(name)
        GcsBucket(bucket=name).save(name)
        return name

    return make


@pytest.fixture(scope="session")
def moto() -> Iterator[dict[str, str]]:
    with moto_server() as environment:
        yield environment


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with minio_server(tmp_path_factory.mktemp("minio")) as environment:
        yield environment


@pytest.fixture
def s3_block(
    request: pytest.FixtureRequest, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """S3Bucket blocks, and their bucket: s3_block(server) is the name of both."""

    def make(server: str = "moto") -> str:
        environment: dict[str, str] = request.getfixturevalue(server)
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        boto3.Session(region_name="us-east-1").client("s3").create_bucket(Bucket=name)
        S3Bucket(bucket_name=name).save(name)
        return name

    return make


@pytest.fixture
def bigquery_block(
    gcs_block: Callable[[], str], bigquery_server: Service, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Name of a GcpCredentials block, and of its empty project in the emulator."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_server.url)
    name = "test-project"
    GcpCredentials(project=name).save(name, overwrite=True)
    # One project for all tests: the emulator reads the catalog of every project for each statement.
    client = google_bigquery.Client(project=name)
    for job in client.list_jobs(state_filter="running"):  # of a process that a test killed
        job.exception()
    for dataset in client.list_datasets():
        client.delete_dataset(dataset.dataset_id, delete_contents=True)
    return name
