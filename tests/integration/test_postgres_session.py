"""PostgreSQL sessions: encodings, defaults, permissions, transient failures, cancellation."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_services.postgres import PostgresServer
from local_services.process import free_port
from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import (
    ConnectionLostError,
    InvalidInputError,
    LockTimeoutError,
    NycTaxiError,
    StorageError,
)
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.swap import brin_index_sql
from nyc_taxi.warehouses.postgres.tables import Table
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse

YELLOW = TripMonth("yellow", 2021, 1)
NOTES = ["Café", "Zürich", "plain", None]


@pytest.fixture(scope="module")
def month(month_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Conformed month of 2000 trips."""
    path = tmp_path_factory.mktemp("month") / "clean.parquet"
    conform(YELLOW, month_file(YELLOW, 2000)).write(path)
    return path


@pytest.fixture(scope="module")
def large(month_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "clean.parquet"
    conform(YELLOW, month_file(YELLOW, 100_000)).write(path)
    return path


@pytest.fixture
def noted(month: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return the month with a text column `note`."""

    def make(notes: list[str | None] = NOTES) -> Path:
        table = pq.read_table(month).slice(0, len(notes))
        path = tmp_path / "noted.parquet"
        pq.write_table(table.append_column("note", pa.array(notes, pa.string())), path)
        return path

    return make


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url, client_encoding="UTF8")) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def load(file: Path, table: str | None = None) -> int:
    target = Table.named(table) if table else None
    return PostgresWarehouse(find_database(), target).replace_month(YELLOW, file, {})


@pytest.fixture
def role(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Role that may only connect, with a name that needs quoting; set in POSTGRES_URL."""
    name = f'Learner "{uuid4().hex[:6]}"'
    quoted = '"' + name.replace('"', '""') + '"'
    query(
        postgres,
        f"CREATE ROLE {quoted} LOGIN PASSWORD 'p4ss-w0rd'; "
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC",
    )
    parts = urlsplit(postgres)
    netloc = (
        f"{name.replace(' ', '%20').replace(chr(34), '%22')}:p4ss-w0rd@{parts.netloc.split('@')[1]}"
    )
    monkeypatch.setenv("POSTGRES_URL", parts._replace(netloc=netloc).geturl())
    yield quoted
    query(postgres, f"REASSIGN OWNED BY {quoted} TO CURRENT_USER; DROP OWNED BY {quoted}; "
        f"DROP ROLE {quoted}")  # fmt: skip


class TestEncoding:
    """Binary COPY sends UTF-8, so the session must set client_encoding."""

    @pytest.mark.parametrize("how", ["environment", "role", "database", "url", "options"])
    def test_load_ignores_other_client_encodings(
        self,
        how: str,
        postgres: str,
        noted: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        name = urlsplit(postgres).path[1:]
        if how == "environment":
            monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        elif how == "url":
            monkeypatch.setenv("POSTGRES_URL", f"{postgres}?client_encoding=LATIN1")
        elif how == "options":
            options = "-c%20client_encoding%3DLATIN1"
            monkeypatch.setenv("POSTGRES_URL", f"{postgres}?options={options}")
        else:
            of = f"ROLE CURRENT_USER IN DATABASE {name}" if how == "role" else f"DATABASE {name}"
            query(postgres, f"ALTER {of} SET client_encoding = 'LATIN1'")
        load(noted())
        stored = "SELECT note, octet_length(note) FROM dezoomcamp.yellow_rides ORDER BY 2, 1"
        assert query(postgres, stored) == [("Café", 5), ("plain", 5), ("Zürich", 7), (None, None)]

    @contextmanager
    def database(
        self, postgres: str, encoding: str, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[str]:
        name = f"test_{uuid4().hex}"
        locale = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        query(postgres, f"CREATE DATABASE {name} ENCODING '{encoding}' {locale}")
        url = urlsplit(postgres)._replace(path=f"/{name}").geturl()
        monkeypatch.setenv("POSTGRES_URL", url)
        try:
            yield url
        finally:
            query(postgres, f"DROP DATABASE {name}")

    def test_load_converts_to_the_encoding_of_the_database(
        self, postgres: str, noted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = "SELECT note, octet_length(note) FROM dezoomcamp.yellow_rides ORDER BY 2, 1"
        with self.database(postgres, "LATIN1", monkeypatch) as url:
            load(noted())
            assert query(url, stored)[0] == ("Café", 4)
            with pytest.raises(StorageError, match=r"no equivalent.*nothing was changed.*UTF8$"):
                load(noted(["漢字"]))
            assert len(query(url, stored)) == 4

    def test_load_stores_utf8_in_a_database_without_encoding(
        self, postgres: str, noted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.database(postgres, "SQL_ASCII", monkeypatch) as url:
            load(noted(["漢字"]))
            assert query(url, "SELECT note FROM dezoomcamp.yellow_rides") == [("漢字",)]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "setting",
    [
        "DateStyle = 'German, DMY'",
        "search_path = nothing, pg_catalog",
        "standard_conforming_strings = off",
        "statement_timeout = '50ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "default_transaction_isolation = 'serializable'",
        "quote_all_identifiers = on",
        "row_security = on",
        "TimeZone = 'Asia/Kathmandu'",
        "session_replication_role = replica",
        "transform_null_equals = on",
        "extra_float_digits = -15",
    ],
)
def test_load_overrides_defaults_of_the_database(
    setting: str, postgres: str, month: Path, large: Path
) -> None:
    query(postgres, f"ALTER DATABASE {urlsplit(postgres).path[1:]} SET {setting}")
    assert load(large) == 100_000
    assert load(month) == 2000
    warehouse = PostgresWarehouse(find_database())
    assert warehouse.count(YELLOW) == 2000
    assert "months can be loaded" in warehouse.check()


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_deadlock_and_serialization_failure_are_retryable_conflicts(
    postgres: str, code: str
) -> None:
    """They were reported as a table that is locked for NYC_TAXI_WAIT seconds."""
    failure = f"DO $$ BEGIN RAISE EXCEPTION 'victim' USING ERRCODE = '{code}'; END $$"
    conflict = r"conflicts with another session \(victim\); nothing was changed; rerun$"
    with (
        pytest.raises(LockTimeoutError, match=conflict) as raised,
        find_database().session() as db,
    ):
        db.execute(failure)
    assert raised.value.retryable


class TestPermissions:
    """Missing permissions are reported before any download, with the GRANT to run."""

    def refused(self, table: str | None = None) -> str:
        target = Table.named(table) if table else None
        with pytest.raises(StorageError) as problem:
            PostgresWarehouse(find_database(), target).check()
        assert "\n" not in str(problem.value) and "p4ss" not in str(problem.value)
        return str(problem.value).rpartition("ask an administrator to run ")[2]

    def granted(self, postgres: str, table: str | None, month: Path) -> None:
        """Run the reported GRANTs one by one; then assert that a load works."""
        for _ in range(4):
            try:
                PostgresWarehouse(find_database(), Table.named(table) if table else None).check()
                break
            except StorageError:
                query(postgres, self.refused(table))
        assert load(month, table) == 2000
        assert load(month, table) == 2000

    def test_check_reports_the_grant_to_create_the_schema(
        self, postgres: str, role: str, month: Path
    ) -> None:
        database = urlsplit(postgres).path[1:]
        assert self.refused() == f'GRANT CREATE ON DATABASE "{database}" TO {role}'
        assert "ON DATABASE" in self.refused("mine.trips")
        self.granted(postgres, None, month)

    def test_check_reports_the_grant_to_create_tables(
        self, postgres: str, role: str, month: Path
    ) -> None:
        assert self.refused("trips") == f'GRANT CREATE ON SCHEMA "public" TO {role}'
        query(postgres, "CREATE SCHEMA mine")
        assert self.refused("mine.trips") == f'GRANT USAGE, CREATE ON SCHEMA "mine" TO {role}'
        self.granted(postgres, "mine.trips", month)

    def test_check_reports_the_grant_for_tables_of_another_role(
        self, postgres: str, role: str, month: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = os.environ["POSTGRES_URL"]
        monkeypatch.setenv("POSTGRES_URL", postgres)
        load(month)
        monkeypatch.setenv("POSTGRES_URL", own)
        query(postgres, f"GRANT ALL ON SCHEMA dezoomcamp TO {role}")
        [(owner,)] = query(postgres, "SELECT quote_ident(current_user)")
        assert self.refused() == f'GRANT "{owner}" TO {role}'
        self.granted(postgres, None, month)

    def test_check_reports_a_read_only_role(self, postgres: str, role: str, month: Path) -> None:
        query(postgres, f"ALTER ROLE {role} SET default_transaction_read_only = on")
        for check in (find_database().check, PostgresWarehouse(find_database()).check):
            with pytest.raises(
                StorageError, match=r"read-only for .*default_transaction"
            ) as problem:
                check()
        message = str(problem.value)
        query(postgres, message[message.index("ALTER ROLE") : message.index(", or connect")])
        self.granted(postgres, None, month)


def test_flow_checks_permissions_before_it_fetches(
    postgres: str, role: str, site: Any, month_file: Callable[..., Path]
) -> None:
    from ingest_data_flow import ingest_data

    raw = month_file(YELLOW, 2000)
    (site.folder / raw.name).write_bytes(raw.read_bytes())
    with pytest.raises(StorageError, match='GRANT CREATE ON SCHEMA "public" TO'):
        ingest_data("yellow_taxi_trips", [1], 2021, "yellow")
    assert site.requests == []


@pytest.mark.parametrize(
    ("version", "operators"), [(12, "timestamp_minmax_ops"), (18, "timestamp_minmax_multi_ops")]
)
def test_index_matches_the_server_version(version: int, operators: str) -> None:
    assert brin_index_sql("pickup", version) == f"USING brin (pickup {operators})"


def test_load_keeps_the_index_of_an_older_server(postgres: str, month: Path) -> None:
    """As after pg_upgrade from version 13: a second index per month would lock the table."""
    load(month)
    oldest = brin_index_sql("tpep_pickup_datetime", 13)
    query(postgres, "DROP INDEX dezoomcamp.yellow_rides_pickup; CREATE INDEX yellow_rides_pickup "
        f"ON dezoomcamp.yellow_rides {oldest}")  # fmt: skip
    load(month)
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'yellow_rides_2021_01'"
    assert query(postgres, indexes) == [(1,)]


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    with TemporaryDirectory(prefix="pg-") as folder:
        server = PostgresServer(Path(folder) / "data", free_port())
        server.up()
        yield server
        server.down()


class TestTransient:
    def fails(self, url: str, monkeypatch: pytest.MonkeyPatch) -> NycTaxiError:
        monkeypatch.setenv("POSTGRES_URL", url)
        with pytest.raises(StorageError) as problem:
            find_database().check()
        assert "\n" not in str(problem.value)
        return problem.value

    def test_server_that_is_down_is_transient(
        self, prefect_server: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        began = time.monotonic()
        url = f"postgresql://a:b@127.0.0.1:{free_port()}/c"
        assert self.fails(url, monkeypatch).retryable
        assert time.monotonic() - began < 5
        assert self.fails("postgresql://a:b@/c?host=/tmp/no-such-folder", monkeypatch).retryable

    def test_temporary_dns_failure_is_transient(
        self, prefect_server: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The C library's message for EAI_AGAIN."""
        problem = psycopg2.OperationalError(
            'could not translate host name "db" to address: Temporary failure in name resolution'
        )
        monkeypatch.setenv("POSTGRES_URL", "postgresql://a:b@db/c")
        assert find_database()._connection_error(problem).retryable

    @pytest.mark.parametrize(
        "reason",
        [
            'FATAL:  password authentication failed for user "a"',
            'FATAL:  database "c" does not exist',
            'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "a", database "c"',
            "server does not support SSL, but SSL was required",
            "could not open certificate file /x.crt: No such file or directory",
        ],
    )
    def test_permanent_failure_is_not_transient(
        self, reason: str, prefect_server: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POSTGRES_URL", "postgresql://a:b@db/c")
        refused = 'connection to server at "::1", port 5432 failed: Connection refused\n'
        problem = psycopg2.OperationalError(
            f'{refused}connection to server at "127.0.0.1", port 5432 failed: {reason}'
        )
        assert not find_database()._connection_error(problem).retryable

    def test_connection_limit_is_transient(
        self, own_server: PostgresServer, prefect_server: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own_server.psql("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
        url = own_server.url.replace("root:root", "few:few")
        try:
            assert self.fails(url, monkeypatch).retryable
        finally:
            own_server.psql("DROP ROLE few")

    def test_restart_during_a_load_is_transient(
        self,
        own_server: PostgresServer,
        prefect_server: None,
        month: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A fast shutdown (57P01) during a load; the previous month is kept."""
        monkeypatch.setenv("POSTGRES_URL", own_server.url)
        load(month)
        with closing(psycopg2.connect(own_server.url)) as db, db.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('nyc_taxi'), hashtext('dezoomcamp'))")
            threading.Timer(1, own_server.down).start()
            with pytest.raises(ConnectionLostError, match="nothing was changed; rerun"):
                load(month)
        while own_server.runs():
            time.sleep(0.05)
        own_server.up()
        assert load(month) == 2000


def test_old_server_is_rejected(
    own_server: PostgresServer, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raises the minimum version instead of installing an old server."""
    monkeypatch.setenv("POSTGRES_URL", own_server.url)
    monkeypatch.setattr("nyc_taxi.warehouses.postgres.connection.MIN_SERVER_VERSION", 99)
    with pytest.raises(StorageError, match=r"is version 18\.\d.*; use version 99 or newer"):
        find_database().check()


class TestStopped:
    @pytest.mark.parametrize("waits_for", ["another load", "a reader", "the copy"])
    @pytest.mark.few(1)
    def test_load_when_stopped_leaves_no_locks_or_tables(
        self,
        waits_for: str,
        postgres: str,
        month: Path,
        month_file: Callable[..., Path],
        tmp_path: Path,
    ) -> None:
        load(month)
        file = month
        if waits_for == "the copy":
            file = tmp_path / "large.parquet"
            conform(YELLOW, month_file(YELLOW, 600_000)).write(file)
        locks = {
            "another load": "SELECT pg_advisory_lock(hashtext('nyc_taxi'), hashtext('dezoomcamp'))",
            "a reader": "BEGIN; SELECT count(*) FROM dezoomcamp.yellow_rides",
            "the copy": "SELECT 1",
        }
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            cursor.execute(locks[waits_for])
            with stoppable() as stop, pytest.raises(Stopped):
                timer = threading.Timer(0.3 if waits_for == "the copy" else 1, stop.set)
                timer.start()
                began = time.monotonic()
                load(file)
            assert time.monotonic() - began < 4
            db.rollback()
        this_database = "datname = current_database()"
        others = f"pg_stat_activity WHERE application_name = 'nyc_taxi' AND {this_database}"
        while query(postgres, f"SELECT count(*) FROM {others}") != [(0,)]:
            assert time.monotonic() - began < 10
        held = "pg_locks JOIN pg_database d ON database = d.oid WHERE locktype = 'advisory'"
        assert query(postgres, f"SELECT count(*) FROM {held} AND {this_database}") == [(0,)]
        staging = "SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_new'"
        assert query(postgres, staging) == [(0,)]
        assert PostgresWarehouse(find_database()).count(YELLOW) == 2000
        assert load(month) == 2000


class TestSecrets:
    def test_connection_error_hides_secrets(
        self, own_server: PostgresServer, prefect_server: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some messages of libpq quote parts of the URL."""
        host = f"127.0.0.1:{own_server.port}"
        for url in (
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi",
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi?sslmode=s3cr3t-pw",
            f"postgresql://{host}/ny_taxi?user=root&password=s3cr3t-pw&sslmode=s3cr3t-pw",
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi?sslpassword=t0k3n&sslmode=t0k3n",
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi?nonsense=s3cr3t-pw",
        ):
            monkeypatch.setenv("POSTGRES_URL", url)
            with pytest.raises(NycTaxiError) as problem:
                find_database().check()
            assert "s3cr3t" not in str(problem.value) and "t0k3n" not in str(problem.value)
            assert isinstance(problem.value, StorageError | InvalidInputError)
