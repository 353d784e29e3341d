"""PostgreSQL servers that are killed, full, down or restarted."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import pytest

from local_services.postgres import PostgresServer
from local_services.process import free_port
from nyc_taxi.errors import ConnectionLostError, NycTaxiError, StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.connection import find_database
from tests.support.month_loads import Clean
from tests.support.postgres import load, warehouse
from tests.support.processes import start
from tests.support.warehouses import LOAD_SCRIPT

YELLOW = TripMonth("yellow", 2021, 1)


class TestFailures:
    @pytest.mark.slow
    def test_load_is_atomic_when_the_server_is_killed(
        self, own_postgres: PostgresServer, clean: Clean
    ) -> None:
        old, new = clean(YELLOW, 5000), clean(YELLOW, 600_000)
        warehouse().replace_month(YELLOW, old, {})
        code = LOAD_SCRIPT.format(
            address="postgres:none", color="yellow", year=2021, month=1, file=new, fill={}
        )
        with start("-c", code) as run:
            assert run.stdout
            assert run.stdout.readline() == "ready\n"
            copied = "SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 50000"
            wait_for(own_postgres, copied)
            own_postgres.kill()
            assert ConnectionLostError.__name__ in run.communicate()[0]
        own_postgres.up()
        assert warehouse().count(YELLOW) == 5000
        assert warehouse().replace_month(YELLOW, new, {}) == 600_000
        assert warehouse().count(YELLOW) == 600_000

    def test_load_reports_a_full_disk(
        self,
        own_postgres: PostgresServer,
        clean: Clean,
        small_disk: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        warehouse().replace_month(YELLOW, clean(YELLOW, 2000), {})
        own_postgres.psql(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        own_postgres.psql("ALTER DATABASE ny_taxi SET default_tablespace = small")
        try:
            with pytest.raises(
                StorageError, match=r"out of disk space .*; nothing was changed; free"
            ):
                warehouse().replace_month(YELLOW, clean(YELLOW, 100_000), {})
            assert warehouse().count(YELLOW) == 2000
        finally:
            own_postgres.psql("ALTER DATABASE ny_taxi RESET default_tablespace")
        assert warehouse().replace_month(YELLOW, clean(YELLOW, 100_000), {}) == 100_000
        own_postgres.psql("DROP TABLESPACE small")

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
        self, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own_postgres.psql("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
        url = own_postgres.url.replace("root:root", "few:few")
        try:
            assert self.fails(url, monkeypatch).retryable
        finally:
            own_postgres.psql("DROP ROLE few")

    def test_restart_during_a_load_is_transient(
        self,
        own_postgres: PostgresServer,
        small_month: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A fast shutdown (57P01) during a load; the previous month is kept."""
        monkeypatch.setenv("POSTGRES_URL", own_postgres.url)
        load(small_month)
        with closing(psycopg2.connect(own_postgres.url)) as db, db.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('nyc_taxi'), hashtext('dezoomcamp'))")
            threading.Timer(1, own_postgres.down).start()
            with pytest.raises(ConnectionLostError, match="nothing was changed; rerun"):
                load(small_month)
        while own_postgres.runs():
            time.sleep(0.05)
        own_postgres.up()
        assert load(small_month) == 2000
