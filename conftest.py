"""What the tests share, those of a flow in its folder too: real files, a real site, a real Prefect
server, and places of their own."""

import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
import httpx
import psycopg2
import pytest
from google.cloud import storage
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.configuration import set_hypothesis_home_dir
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness
from prefect_aws import S3Bucket
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from local_services import (
    Python313NotFoundError,
    Server,
    bigquery,
    client_environment,
    gcs,
    running,
)
from local_services.postgres import Server as PostgresServer
from local_services.process import free_port
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site, write_month
from tests.support.aws import amazon, minio
from tests.support.prefect_systems import LIGHT, NO_SERVICE, bare_system, page, system  # noqa: F401
from tests.support.processes import ROOT

# A background job of a shell ignores SIGINT, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_FILES = ROOT.parent / "shared" / "tlc"
"""Files of the TLC, beside a checkout where somebody put them."""

set_hypothesis_home_dir(ROOT / ".pytest_cache" / "hypothesis")
# The same examples in every run; NYC_TAXI_TEST_EXAMPLES=5000 looks further.
hypothesis_settings.register_profile(
    "default",
    max_examples=int(os.environ.get("NYC_TAXI_TEST_EXAMPLES", "50")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.load_profile("default")


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a lake, a warehouse and a data folder of its own."""
    monkeypatch.setenv("NYC_TAXI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NYC_TAXI_LAKE", f"local:{tmp_path / 'lake'}")
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", f"duckdb:{tmp_path / 'warehouse.duckdb'}")
    monkeypatch.setenv("NYC_TAXI_WAIT", "30")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With NYC_TAXI_TEST_SERVICES=all, a test skipped because a service is missing is a failure.

    With a word, such as docker, one skipped because of a service that has it in its name.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    wanted = os.environ.get("NYC_TAXI_TEST_SERVICES")
    if not wanted or reporter is None:
        return
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2]
        if NO_SERVICE in reason and (wanted == "all" or wanted.lower() in reason.lower()):
            reporter.write_line(f"skipped, but must run: {report.nodeid}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def real() -> Path:
    if not REAL_FILES.is_dir():
        pytest.skip("the TLC's real files are not beside this checkout")
    return REAL_FILES


_own_servers: list[str] = []
"""The API of the tests' Prefect server, while it runs."""


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server with a database of its own; scripts that a test starts use it too."""
    os.environ.update(LIGHT)
    with prefect_test_harness(server_startup_timeout=150):
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        _own_servers.append(os.environ["PREFECT_API_URL"])
        yield
        _own_servers.clear()
        del os.environ["PREFECT_API_URL"]


@pytest.fixture(scope="module", autouse=True)
def no_blocks_of_other_files() -> Iterator[None]:
    """The tests' server is one for many files, and a block changes what a flow does."""
    yield
    for url in _own_servers:  # never the server of the user's environment
        found = httpx.post(f"{url}/block_documents/filter", json={}).json()
        for document in found:
            httpx.delete(f"{url}/block_documents/{document['id']}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL: POSTGRES_URL's, or one of the tests' own."""
    if url := os.environ.get("POSTGRES_URL"):
        yield url
        return
    with TemporaryDirectory(prefix="pg-") as folder:  # short, for the Unix socket in it
        Path(folder).chmod(0o711)  # root runs PostgreSQL as nobody
        server = PostgresServer(Path(folder) / "data", free_port())
        server.up()
        yield server.url
        server.down()


@pytest.fixture
def postgres(
    postgres_server: str, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of an empty database, which is POSTGRES_URL while the test runs."""
    name = f"test_{uuid4().hex}"
    url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
    with closing(psycopg2.connect(postgres_server)) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(f"CREATE DATABASE {name}")
        monkeypatch.setenv("POSTGRES_URL", url)
        yield url
        others = f"FROM pg_stat_activity WHERE datname = '{name}'"
        cursor.execute(f"SELECT pg_terminate_backend(pid) {others}")  # WITH (FORCE) is from 13 on
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The TLC's site, empty so far; the months in its folder are the flows' source."""
    (tmp_path / "site").mkdir()
    # No certificates to read before every fetch: that took most of the tests' time.
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "site"))
    with Site(tmp_path / "site") as site:
        monkeypatch.setenv("NYC_TAXI_SOURCE_URL", site.url)
        yield site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where downloads go."""
    return tmp_path / "raw"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(mounted)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.fixture(scope="session")
def month_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Made files of a month, each made once: month_file(trips, rows, format="parquet")."""
    folder = tmp_path_factory.mktemp("months")

    def make(trips: TripMonth, rows: int, format: str = "parquet", seed: int = 0) -> Path:
        place = folder / f"{rows}-{seed}"
        place.mkdir(exist_ok=True)
        path = place / f"{trips.stem}.{format}"
        if not path.exists():
            write_month(place, trips.color, trips.year, trips.month, rows, seed=seed, format=format)
        return path

    return make


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(gcs(tmp_path_factory.mktemp("google"))) as server:
        yield server


@pytest.fixture(scope="session")
def bigquery_server(gcs_server: Server) -> Iterator[Server]:
    try:
        server = bigquery(gcs_server.folder)
    except Python313NotFoundError as problem:
        pytest.skip(f"{NO_SERVICE}{problem}")
    with running(server):
        yield server


@pytest.fixture
def gcs_block(
    gcs_server: Server, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """GcsBucket blocks, and their bucket in the emulator: gcs_block() is the name of both."""
    for name, value in client_environment(gcs_server, None).items():
        monkeypatch.setenv(name, value)

    def make() -> str:
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        storage.Client().create_bucket(name)
        GcsBucket(bucket=name).save(name)
        return name

    return make


@pytest.fixture(scope="session")
def moto_server() -> Iterator[dict[str, str]]:
    with amazon() as environment:
        yield environment


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with minio(tmp_path_factory.mktemp("minio")) as environment:
        yield environment


@pytest.fixture
def s3_block(
    request: pytest.FixtureRequest, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """S3Bucket blocks, and their bucket: s3_block(server) is the name of both."""

    def make(server: str = "moto_server") -> str:
        for variable, value in request.getfixturevalue(server).items():
            monkeypatch.setenv(variable, value)
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        place = {"LocationConstraint": os.environ["AWS_DEFAULT_REGION"]}
        boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
        S3Bucket(bucket_name=name).save(name)
        return name

    return make


@pytest.fixture
def bigquery_block(
    gcs_block: Callable[[], str], bigquery_server: Server, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The name of a GcpCredentials block, and of its project in the emulator, which is empty."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_server.url)
    name = f"project-{uuid.uuid4().hex[:8]}"
    GcpCredentials(project=name).save(name)
    return name
