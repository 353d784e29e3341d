"""Catalogs of the Spark warehouse: each kind keeps the contract, and fails in one line."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from local_services.postgres import PostgresServer
from nyc_taxi.errors import ConnectionLostError, InvalidInputError, StorageError
from nyc_taxi.storage.spark_errors import translate_spark_errors
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.fixed_responses import answering
from tests.support.month_loads import Clean
from tests.support.processes import start
from tests.support.rest_catalog import rest_catalog
from tests.support.spark import PROPERTIES
from tests.support.warehouses import EmptyWarehouse

pytestmark = pytest.mark.cluster

YELLOW, FEBRUARY = TripMonth("yellow", 2021, 1), TripMonth("yellow", 2021, 2)
TABLE = "dezoomcamp.yellow_rides"


def jdbc(postgres: str) -> str:
    url = urlsplit(postgres)
    if url.hostname is None:
        pytest.skip("Java has no Unix sockets, and this PostgreSQL listens on nothing else")
    user = f"user={url.username}&password={url.password or ''}"
    return f"jdbc:postgresql://{url.hostname}:{url.port}{url.path}?{user}"


@pytest.fixture(params=["hadoop", "postgresql", "rest"])
def catalog(
    request: pytest.FixtureRequest, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmptyWarehouse]:
    """A warehouse in a catalog other than the default, which is an SQLite file."""
    name = f"test_{uuid4().hex}"
    prefix = f"spark.sql.catalog.{name}"
    if request.param == "hadoop":  # as if spark-submit had it
        spark.conf.set(prefix, "org.apache.iceberg.spark.SparkCatalog")
        spark.conf.set(f"{prefix}.type", "hadoop")
        spark.conf.set(f"{prefix}.warehouse", f"file://{tmp_path / 'my hadoop'}")
    elif request.param == "rest":
        server = rest_catalog(tmp_path)
        server.start()
        request.addfinalizer(server.stop)
        monkeypatch.setenv("CATALOG_URI", server.url)
        monkeypatch.delenv("WAREHOUSE_URI", raising=False)
        # This server fails for one of two runs that create the namespace at once.
        open_warehouse(f"spark:{name}").check()
    else:
        monkeypatch.setenv("CATALOG_URI", jdbc(request.getfixturevalue("postgres")))
        monkeypatch.setenv("WAREHOUSE_URI", str(tmp_path / "ice berg"))

    def query(sql: str) -> list[tuple[Any, ...]]:
        spark.sql(f"SET CATALOG {name}")
        return [tuple(row) for row in spark.sql(sql).collect()]

    yield EmptyWarehouse(f"spark:{name}", query)


def test_every_kind_of_catalog_keeps_the_contract(catalog: EmptyWarehouse, clean: Clean) -> None:
    january, february = clean(YELLOW, 2000), clean(FEBRUARY, 1000)
    with ThreadPoolExecutor(3) as pool:
        loads = [
            pool.submit(catalog.open().replace_month, trips, file, {})
            for trips, file in ((YELLOW, january), (FEBRUARY, february), (YELLOW, january))
        ]
    assert [load.result() for load in loads] == [2000, 1000, 2000]
    counts = f"SELECT month(trip_month), count(*) FROM {TABLE} GROUP BY 1 ORDER BY 1"
    assert catalog.query(counts) == [(1, 2000), (2, 1000)]
    found = catalog.open().read_loads()
    assert sorted(load.row_count for load in found) == [1000, 2000]
    assert {load.source_version for load in found} == {"etag 1000", "etag 2000"}
    assert "tables in dezoomcamp" in catalog.open().check()


@pytest.mark.parametrize("catalog", ["hadoop"], indirect=True)
def test_processes_take_turns_in_a_hadoop_catalog_on_this_machine(
    catalog: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    """Its commit is a rename, which overwrites the commit of another process (Iceberg #970)."""
    name = catalog.address.partition(":")[2]
    properties = {"": "org.apache.iceberg.spark.SparkCatalog", ".type": "hadoop"}
    properties[".warehouse"] = f"file://{tmp_path / 'my hadoop'}"
    conf = tmp_path / "conf"
    conf.mkdir()
    lines = [f"spark.sql.catalog.{name}{key} {value}" for key, value in properties.items()]
    (conf / "spark-defaults.conf").write_text("\n".join([PROPERTIES, *lines]))
    files = {month: clean(TripMonth("green", 2021, month), 100) for month in range(1, 9)}
    code = (
        "from pathlib import Path; from nyc_taxi.warehouses.registry import open_warehouse;"
        "from nyc_taxi.trips.months import TripMonth;"
        f"w = open_warehouse({catalog.address!r});"
        "[w.replace_month(TripMonth('green', 2021, m), Path(f), {}) for m, f in %r]"
    )
    halves = [[(month, str(files[month])) for month in files if month % 2 == n] for n in (0, 1)]
    runs = [start("-c", code % half, SPARK_CONF_DIR=str(conf)) for half in halves]
    for run in runs:
        output = run.communicate()[0]
        assert run.returncode == 0, output
    counts = "SELECT count(*), count(DISTINCT trip_month) FROM dezoomcamp.green_rides"
    assert catalog.query(counts) == [(800, 8)]
    assert len(catalog.open().read_loads()) == 8


@pytest.mark.parametrize("catalog", ["hadoop"], indirect=True)
@pytest.mark.parametrize("hint", ["1", "", None], ids=["stale", "empty", "missing"])
def test_hadoop_catalog_recovers_from_a_kill_during_its_last_write(
    catalog: EmptyWarehouse, clean: Clean, tmp_path: Path, hint: str | None
) -> None:
    """The commit is complete, but version-hint.text does not name it."""
    for _ in range(2):
        catalog.open().replace_month(YELLOW, clean(YELLOW, 2000), {})
    hints = [*tmp_path.rglob("version-hint.text")]
    assert len(hints) == 2  # of the trips and of the loads
    for path in hints:
        path.with_name(f".{path.name}.crc").unlink()
        path.unlink()
        if hint is not None:
            path.write_text(hint)
    assert catalog.open().replace_month(FEBRUARY, clean(FEBRUARY, 1000), {}) == 1000
    assert catalog.query(f"SELECT count(*) FROM {TABLE}") == [(3000,)]
    assert sorted(load.row_count for load in catalog.open().read_loads()) == [1000, 2000]


@pytest.mark.parametrize("catalog", ["postgresql"], indirect=True)
def test_table_that_lost_a_file_can_be_dropped_and_loaded_again(
    catalog: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    warehouse = catalog.open()
    load = partial(warehouse.replace_month, YELLOW, clean(YELLOW, 2000), {})
    load()
    [path] = tmp_path.glob("ice berg/dezoomcamp/yellow_rides/metadata/snap-*.avro")
    path.unlink()
    with pytest.raises(StorageError, match=f"{path.name}.*restore the file, or DROP TABLE"):
        load()
    catalog.query(f"DROP TABLE {TABLE}")
    assert load() == 2000
    for path in tmp_path.glob("ice berg/dezoomcamp/loads/data/**/*.parquet"):
        path.unlink()
    with pytest.raises(StorageError, match="restore the file") as raised:
        warehouse.read_loads()
    assert "Job aborted" not in str(raised.value)


@pytest.mark.parametrize("name", ["Nyc", "a.b", "a-b"])
def test_invalid_name_of_a_catalog_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a valid address; the name of a catalog"):
        open_warehouse(f"spark:{name}")


def test_unreachable_catalog_is_one_line(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "jdbc:postgresql://127.0.0.1:1/none?user=someone&password=a-secret"
    monkeypatch.setenv("CATALOG_URI", uri)
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:1/none Connection refused") as problem:
        open_warehouse(f"spark:test_{uuid4().hex}").check()
    assert "\n" not in str(problem.value)
    assert "a-secret" not in str(problem.value)


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (
            401,
            b"<html>Unauthorized",
            StorageError,
            r"Not authorized.*spark\.sql\.catalog\.NAME\.token",
        ),
        (404, b"not found", StorageError, "CATALOG_URI is not a REST catalog"),
        (200, b"<html>login", StorageError, "CATALOG_URI is not a REST catalog"),
        (504, b"<html>timeout", ConnectionLostError, "code: 504"),
    ],
)
def test_rest_catalog_that_refuses_is_one_line(
    spark: Any,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    kind: type[StorageError],
    says: str,
) -> None:
    name = f"test_{uuid4().hex}"
    spark.conf.set(f"spark.sql.catalog.{name}.rest.client.max-retries", "1")
    with answering(status, body) as url, pytest.raises(StorageError, match=says) as raised:
        monkeypatch.setenv("CATALOG_URI", url)
        open_warehouse(f"spark:{name}").check()
    assert type(raised.value) is kind
    assert "\n" not in str(raised.value)


def test_silent_rest_catalog_is_given_up_after_nyc_taxi_timeout(
    spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Iceberg waits for three minutes."""
    monkeypatch.setenv("NYC_TAXI_TIMEOUT", "1")
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("CATALOG_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ConnectionLostError, match="Read timed out"):
            open_warehouse(f"spark:test_{uuid4().hex}").check()


def test_load_succeeds_once_the_postgresql_of_the_catalog_is_back(
    spark: Any,
    own_postgres: PostgresServer,
    clean: Clean,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until then each attempt fails with an error that a task retries."""
    monkeypatch.setenv("CATALOG_URI", jdbc(own_postgres.url))
    monkeypatch.setenv("WAREHOUSE_URI", str(tmp_path))
    warehouse = open_warehouse(f"spark:test_{uuid4().hex}")
    load = partial(warehouse.replace_month, YELLOW, clean(YELLOW, 2000), {})
    load()
    own_postgres.kill()
    for _ in range(3):
        with pytest.raises(ConnectionLostError):
            load()
    own_postgres.up()
    with suppress(ConnectionLostError):  # of a connection that the pool still has
        load()
    assert load() == 2000
    assert [found.row_count for found in warehouse.read_loads()] == [2000]


@pytest.mark.parametrize(
    ("exception", "text", "says"),
    [
        ("java.lang.UnsupportedOperationException", "getSubject is not supported", "Java 17 or 21"),
        ("java.lang.Exception", "No native library found for os.name=Linux", r"java\.io\.tmpdir"),
    ],
)
def test_error_of_java_has_advice(spark: Any, exception: str, text: str, says: str) -> None:
    """Raised by Java 25, and where the temporary folder is mounted with noexec."""
    from py4j.protocol import Py4JJavaError

    java = spark._jvm
    for name in exception.split("."):
        java = getattr(java, name)
    with pytest.raises(StorageError, match=says), translate_spark_errors("here"):
        raise Py4JJavaError("", java(text))
