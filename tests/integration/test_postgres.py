"""Behavior specific to PostgreSQL; the shared contract is in tests/contract/test_warehouses.py."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlsplit

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver

from local_services import ServiceStartError
from local_services.postgres import PostgresServer
from local_services.process import free_port
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import ConnectionLostError, InvalidInputError, LockTimeoutError, StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.addresses import BLOCK, components
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.tables import Table
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse
from tests.support.processes import start
from tests.support.warehouses import LOAD_SCRIPT

YELLOW = TripMonth("yellow", 2021, 1)
GREEN = TripMonth("green", 2021, 1)
Clean = Callable[..., Path]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Server of this module, which tests may kill or fill up."""
    with TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o711)  # root runs PostgreSQL as an unprivileged user
        server = PostgresServer(Path(folder) / "data", free_port())
        server.up()
        yield server
        server.down()


@pytest.fixture
def on_server(
    server: PostgresServer, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgresServer]:
    """Running server with an empty database, set as POSTGRES_URL."""
    server.up()
    monkeypatch.setenv("POSTGRES_URL", server.url)
    yield server
    server.up()
    server.psql("DROP SCHEMA IF EXISTS dezoomcamp CASCADE", "ny_taxi")


@pytest.fixture
def clean(month_file: Callable[..., Path], tmp_path: Path) -> Clean:
    def make(trips: TripMonth, rows: int, seed: int = 0) -> Path:
        path = tmp_path / f"{trips.stem}-{rows}-{seed}.parquet"
        conform(trips, month_file(trips, rows, seed=seed)).write(path)
        return path

    return make


def warehouse(table: str | None = None) -> PostgresWarehouse:
    return PostgresWarehouse(find_database(), Table.named(table) if table else None)


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


class TestReaders:
    def test_reader_never_sees_a_partial_month(self, postgres: str, clean: Clean) -> None:
        old, new = clean(YELLOW, 50_000), clean(YELLOW, 200_000)
        warehouse().replace_month(YELLOW, old, {})
        seen: dict[int, float] = {}
        done = threading.Event()

        def poll(table: str) -> None:
            with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
                db.autocommit = True
                while not done.is_set():
                    began = time.monotonic()
                    cursor.execute(f"SELECT count(*) FROM dezoomcamp.{table}")
                    for (count,) in cursor.fetchall():
                        seen[count] = max(seen.get(count, 0), time.monotonic() - began)

        readers = [threading.Thread(target=poll, args=[t]) for t in ("yellow_rides", "rides")]
        for reader in readers:
            reader.start()
        for file in (new, old, new, old):
            warehouse().replace_month(YELLOW, file, {})
        done.set()
        for reader in readers:
            reader.join()
        assert set(seen) == {50_000, 200_000}
        assert max(seen.values()) < 2

    def test_older_snapshot_sees_the_whole_new_month(self, postgres: str, clean: Clean) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            db.set_session(isolation_level="REPEATABLE READ")
            cursor.execute("SELECT 1")  # the snapshot, before any table is read
            warehouse().replace_month(YELLOW, clean(YELLOW, 3000), {})
            cursor.execute("SELECT count(*) FROM dezoomcamp.yellow_rides")
            assert cursor.fetchall() == [(3000,)]

    def test_load_times_out_behind_an_open_reader(
        self, postgres: str, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        monkeypatch.setenv("NYC_TAXI_WAIT", "1")
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM dezoomcamp.yellow_rides")
            with pytest.raises(LockTimeoutError, match="locked by other sessions for 1 s; close"):
                warehouse().replace_month(YELLOW, clean(YELLOW, 3000), {})
            assert query(postgres, "SELECT count(*) FROM dezoomcamp.rides") == [(2000,)]
        assert warehouse().replace_month(YELLOW, clean(YELLOW, 3000), {}) == 3000


class TestTable:
    def test_load_creates_columns_and_index(self, postgres: str, clean: Clean) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        kinds = dict(
            query(
                postgres,
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_name = 'yellow_rides'",
            )
        )
        assert kinds["trip_month"] == "date"
        assert kinds["passenger_count"] == kinds["pulocationid"] == "bigint"
        assert kinds["tpep_pickup_datetime"] == "timestamp without time zone"
        assert kinds["airport_fee"] == "double precision"
        index = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = {}"
        for table in ("yellow_rides", "yellow_rides_2021_01"):
            oid = f"'dezoomcamp.{table}'::regclass"
            assert query(postgres, index.format(oid)) == [(f"dezoomcamp.{table}_pickup", True)]
        rows = "SELECT reltuples FROM pg_class WHERE relname = 'yellow_rides_2021_01'"
        assert query(postgres, rows) == [(2000,)]

    def test_load_keeps_extreme_values(self, postgres: str, clean: Clean, tmp_path: Path) -> None:
        """Minimum and maximum values, long texts, and nulls in any position."""
        table = pq.read_table(clean(YELLOW, 2000))
        texts = ["", None, "a", "Zürich, “N/A”\t\n\\", "x" * 100_000, *["y"] * 1995]
        whole = [2**63 - 1, -(2**63), None, 0, *range(1996)]
        fractional = [float("inf"), float("-inf"), float("nan"), None, 5e-324, *[0.1] * 1995]
        moments = [None, -1, 0, 946684800000000, -(10**15), *range(1995)]
        for name, values in (
            ("a_text", pa.array(texts)),
            ("A_Number", pa.array(whole)),
            ("a_double", pa.array(fractional)),
            ("a_moment", pa.array(moments, pa.timestamp("us"))),
            ("a_small", pa.array([None, *range(1999)], pa.int16())),
            ("a_price", pa.array([None, *[1.25] * 1999], pa.float32())),
            ("a_truth", pa.array([None, *[True, False, True] * 666, True])),
            ("a_void", pa.nulls(2000, pa.float64())),
            ("no_text", pa.nulls(2000, pa.string())),
        ):
            table = table.append_column(name, values)
        file = tmp_path / "values.parquet"
        pq.write_table(table, file)
        assert warehouse().replace_month(YELLOW, file, {}) == 2000
        columns = (
            "a_text, a_number, a_double, a_moment, a_small, a_price, a_truth, a_void, no_text, "
            "store_and_fwd_flag, tpep_pickup_datetime, total_amount, passenger_count"
        )
        stored = query(postgres, f"SELECT {columns} FROM dezoomcamp.yellow_rides")
        with duckdb.connect() as db:
            assert repr(stored) == repr(db.execute(f"SELECT {columns} FROM '{file}'").fetchall())

    def test_load_widens_undeclared_columns_only(
        self, postgres: str, clean: Clean, tmp_path: Path
    ) -> None:
        table = pq.read_table(clean(YELLOW, 2000))
        counts, doubles = tmp_path / "counts.parquet", tmp_path / "doubles.parquet"
        pq.write_table(table.append_column("extras", pa.array([1] * 2000)), counts)
        pq.write_table(table.append_column("extras", pa.array([0.5] * 2000)), doubles)
        warehouse().replace_month(YELLOW, doubles, {})
        warehouse().replace_month(TripMonth("yellow", 2021, 2), counts, {})
        assert query(postgres, "SELECT sum(extras) FROM dezoomcamp.yellow_rides") == [(3000.0,)]
        warehouse("other").replace_month(YELLOW, counts, {})
        with pytest.raises(StorageError, match="ALTER COLUMN extras TYPE double precision"):
            warehouse("other").replace_month(YELLOW, doubles, {})

    def test_load_rejects_a_table_with_another_partitioning(
        self, postgres: str, clean: Clean
    ) -> None:
        query(postgres, 'CREATE TABLE yellow_taxi_trips ("VendorID" int)')
        with pytest.raises(StorageError, match="not partitioned by trip_month"):
            warehouse("yellow_taxi_trips").replace_month(YELLOW, clean(YELLOW, 2000), {})
        query(postgres, "CREATE TABLE trips_2021_01 (a int)")
        with pytest.raises(StorageError, match='"trips_2021_01" already exists'):
            warehouse("trips").replace_month(YELLOW, clean(YELLOW, 2000), {})
        assert warehouse("trips").count(YELLOW) == 0

    def test_load_rejects_another_color(self, postgres: str, clean: Clean) -> None:
        warehouse("trips").replace_month(YELLOW, clean(YELLOW, 2000), {})
        with pytest.raises(StorageError, match=r"public\.trips does not contain green trips"):
            warehouse("trips").replace_month(GREEN, clean(GREEN, 2000), {})
        fhv, fhvhv = TripMonth("fhv", 2021, 1), TripMonth("fhvhv", 2021, 1)
        warehouse("hired").replace_month(fhvhv, clean(fhvhv, 2000), {})
        with pytest.raises(StorageError, match="does not contain fhv trips"):
            warehouse("hired").replace_month(fhv, clean(fhv, 2000), {})

    def test_concurrent_first_loads_create_the_table_once(
        self, postgres: str, clean: Clean
    ) -> None:
        """Both loads find no table and wait for the lock before one of them creates it."""
        months = [TripMonth("yellow", 2021, month) for month in (1, 2)]
        files = [clean(trips, 400_000) for trips in months]
        lock = "hashtext('nyc_taxi'), hashtext('public')"
        copying = "SELECT count(*) FROM pg_stat_progress_copy"
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        with ThreadPoolExecutor(2) as pool, closing(psycopg2.connect(postgres)) as db:
            db.autocommit = True
            loads = [
                pool.submit(warehouse("together").replace_month, trips, file, {})
                for trips, file in zip(months, files, strict=True)
            ]
            with db.cursor() as gate:
                for count, call in ((copying, "pg_advisory_lock"), (waiting, "pg_advisory_unlock")):
                    while query(postgres, count) != [(2,)]:
                        assert not any(load.done() for load in loads)
                    gate.execute(f"SELECT {call}({lock})")
        assert [load.result() for load in loads] == [400_000, 400_000]

    @pytest.mark.parametrize(
        "name", ["Trips", "a b", "a.b.c", "x" * 41, "", "t; DROP TABLE t", "a.loads"]
    )
    def test_named_rejects_an_invalid_name(self, name: str) -> None:
        with pytest.raises(InvalidInputError, match="lower-case letters"):
            Table.named(name)


class TestFailures:
    @pytest.mark.slow
    def test_load_is_atomic_when_the_server_is_killed(
        self, on_server: PostgresServer, clean: Clean
    ) -> None:
        old, new = clean(YELLOW, 5000), clean(YELLOW, 600_000)
        warehouse().replace_month(YELLOW, old, {})
        code = LOAD_SCRIPT.format(
            address="postgres:none", color="yellow", year=2021, month=1, file=new, fill={}
        )
        with start("-c", code) as run:
            assert run.stdout
            assert run.stdout.readline() == "ready\n"
            wait_for(on_server, "SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed"
                     " > 50000")  # fmt: skip
            on_server.kill()
            assert ConnectionLostError.__name__ in run.communicate()[0]
        on_server.up()
        assert warehouse().count(YELLOW) == 5000
        assert warehouse().replace_month(YELLOW, new, {}) == 600_000
        assert warehouse().count(YELLOW) == 600_000

    def test_load_reports_a_full_disk(
        self,
        on_server: PostgresServer,
        clean: Clean,
        small_disk: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        on_server.psql(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        on_server.psql("ALTER DATABASE ny_taxi SET default_tablespace = small")
        try:
            with pytest.raises(
                StorageError, match=r"out of disk space .*; nothing was changed; free"
            ):
                warehouse().replace_month(YELLOW, clean(YELLOW, 100_000), {})
            assert warehouse().count(YELLOW) == 2000
        finally:
            on_server.psql("ALTER DATABASE ny_taxi RESET default_tablespace")
        assert warehouse().replace_month(YELLOW, clean(YELLOW, 100_000), {}) == 100_000
        on_server.psql("DROP TABLESPACE small")

    @pytest.fixture
    def small_disk(self) -> Iterator[Path]:
        with TemporaryDirectory(prefix="pg-disk-") as folder:
            mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
            if os.name != "posix" or os.geteuid() or subprocess.run(mount, check=False).returncode:
                pytest.skip("mounting a small disk needs root")
            tablespace = Path(folder) / "tablespace"
            tablespace.mkdir()
            os.chown(tablespace, 65534, 65534)
            Path(folder).chmod(0o755)
            yield tablespace
            subprocess.run(["umount", folder], check=True)


def wait_for(server: PostgresServer, query: str) -> None:
    deadline = time.monotonic() + 30
    while not int(server.psql(query)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestAddresses:
    """Forms of POSTGRES_URL, and one-line errors for invalid ones."""

    def connect(self) -> None:
        find_database().check()

    def test_password_with_special_characters_connects(
        self, on_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        password = "p@ss:w/rd%?#[]"
        on_server.psql(f"CREATE ROLE odd LOGIN SUPERUSER PASSWORD '{password}'")
        for scheme in ("postgresql", "postgres", "postgresql+psycopg2"):
            url = f"{scheme}://odd:{quote(password, safe='')}@127.0.0.1:{on_server.port}/ny_taxi"
            monkeypatch.setenv("POSTGRES_URL", url)
            self.connect()
        on_server.psql("DROP ROLE odd")

    def test_unix_socket_connects(
        self, on_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoded = quote(str(on_server.folder), safe="")
        for url in (
            on_server.socket_url,
            on_server.socket_url.replace("postgresql:", "postgresql+psycopg2:"),
            f"postgresql://root:root@{encoded}:{on_server.port}/ny_taxi",
        ):
            monkeypatch.setenv("POSTGRES_URL", url)
            self.connect()

    @pytest.mark.few(2)
    @pytest.mark.parametrize(
        ("part", "line"),
        [
            ({"password": "wr@ng"}, "password authentication failed for user"),
            ({"host": "no-such-host.invalid"}, "could not translate host name"),
            ({"port": "1"}, "Connection refused"),
            ({"database": "none"}, 'database "none" does not exist'),
        ],
    )
    def test_unreachable_address_is_reported(
        self,
        on_server: PostgresServer,
        monkeypatch: pytest.MonkeyPatch,
        part: dict[str, str],
        line: str,
    ) -> None:
        url = urlsplit(on_server.url)
        parts = {"password": "root", "host": "127.0.0.1", "port": url.port, "database": "ny_taxi"}
        parts |= {name: quote(value, safe="") for name, value in part.items()}
        monkeypatch.setenv(
            "POSTGRES_URL", "postgresql://root:{password}@{host}:{port}/{database}".format(**parts)
        )
        with pytest.raises(StorageError) as problem:
            self.connect()
        message = str(problem.value)
        assert line in message
        assert "check POSTGRES_URL, or start a local one with `make postgres`" in message
        assert "\n" not in message
        assert "wr@ng" not in message

    @pytest.mark.parametrize("name", ["pgbouncer", "schema", "ssl"])
    def test_parameter_of_another_client_is_named(self, name: str) -> None:
        """The error blamed the password."""
        for login in ("", "a:s3c%40ret@"):
            with pytest.raises(
                InvalidInputError, match=f"the parameter {name}, .*sslmode"
            ) as error:
                components(f"postgresql://{login}b:5432/c?sslmode=require&{name}=require")
            assert "s3c" not in str(error.value)
        with pytest.raises(InvalidInputError, match="not a valid URL"):
            components(f"postgresql://a:s3/?{name}=x@b/c")

    def test_surrounding_blanks_are_ignored(self) -> None:
        assert components(" postgresql://a:b@c/d\n").database == "d"

    def test_block_of_another_database_is_rejected(self, prefect_server: None) -> None:
        sqlite = ConnectionComponents(driver=SyncDriver.SQLITE_PYSQLITE, database="trips.db")
        SqlAlchemyConnector(connection_info=sqlite).save("of-sqlite")
        with pytest.raises(InvalidInputError, match="of-sqlite is for sqlite, not PostgreSQL"):
            find_database("of-sqlite")

    @pytest.mark.parametrize(
        "url", ["nonsense", "mysql://a:s3cret@b/c", "postgresql://a:s3@c:r@t/d"]
    )
    def test_invalid_url_is_rejected_without_its_password(self, url: str) -> None:
        with pytest.raises(
            InvalidInputError, match="POSTGRES_URL is not a valid URL; write"
        ) as problem:
            components(url)
        assert "s3" not in str(problem.value)

    def test_missing_block_and_url_are_reported(
        self, prefect_server: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POSTGRES_URL", "")
        with pytest.raises(
            InvalidInputError, match=r"`make postgres` .* or set POSTGRES_URL=.*block\.py"
        ):
            find_database()

    def test_port_in_use_is_reported(self, on_server: PostgresServer, tmp_path: Path) -> None:
        with pytest.raises(
            ServiceStartError, match=f"port {on_server.port} is in use .* POSTGRES_PORT="
        ):
            PostgresServer(tmp_path / "second", on_server.port).up()


@pytest.mark.slow
def test_block_takes_precedence_over_the_url(on_server: PostgresServer) -> None:
    """The script creates and updates the block, and does not print its password."""
    secret = quote("p@ss:w/rd", safe="")
    on_server.psql("CREATE ROLE blocked LOGIN PASSWORD 'p@ss:w/rd'")
    address = f"127.0.0.1:{on_server.port}/ny_taxi"
    whole = (f"postgresql://blocked:{secret}@{address}", "ignored", "ignored")
    parts = (f"postgresql://{address}", "blocked", "p@ss:w/rd")
    try:
        for url, user, password in (whole, parts, whole):
            with start(
                "blocks/make_postgres_block.py",
                POSTGRES_URL=url,
                PGUSER=user,
                PGPASSWORD=password,
            ) as run:
                output = run.communicate()[0]
            assert run.returncode == 0, output
            assert f"127.0.0.1:{on_server.port}, database ny_taxi, user blocked" in output
            assert "p@ss" not in output and secret not in output
            with find_database().session() as db:
                db.execute("SELECT current_user")
                assert db.fetchall() == [("blocked",)]
    finally:
        SqlAlchemyConnector.delete(BLOCK)


@pytest.mark.parametrize("month", [TripMonth("green", 2021, 1), TripMonth("green", 2025, 1)])
def test_load_stores_published_files(
    postgres: str, real: Path, tmp_path: Path, month: TripMonth
) -> None:
    raw = real / "trip-data" / f"{month.stem}.parquet"
    file = tmp_path / "clean.parquet"
    rows = conform(month, raw).write(file).rows
    assert warehouse().replace_month(month, file, {}) == rows
    sums = (
        "SELECT count(*), sum(total_amount), sum(trip_distance), sum(PULocationID), "
        "count(passenger_count), min(lpep_pickup_datetime), max(lpep_dropoff_datetime) FROM {}"
    )
    [stored] = query(postgres, sums.format("dezoomcamp.green_rides"))
    with duckdb.connect() as db:
        [expected] = db.execute(sums.format(f"'{raw}'")).fetchall()
    assert [round(v, 2) if isinstance(v, float) else v for v in stored] == [
        round(v, 2) if isinstance(v, float) else v for v in expected
    ]
