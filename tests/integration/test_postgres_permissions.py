"""Permissions in PostgreSQL: missing ones are reported before a download, with their GRANT."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from nyc_taxi.errors import StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.connection import find_database
from tests.support.postgres import load, query, warehouse

YELLOW = TripMonth("yellow", 2021, 1)


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


class TestPermissions:
    """Missing permissions are reported before any download, with the GRANT to run."""

    def refused(self, table: str | None = None) -> str:
        with pytest.raises(StorageError) as problem:
            warehouse(table).check()
        assert "\n" not in str(problem.value) and "p4ss" not in str(problem.value)
        return str(problem.value).rpartition("ask an administrator to run ")[2]

    def granted(self, postgres: str, table: str | None, small_month: Path) -> None:
        """Run the reported GRANTs one by one; then assert that a load works."""
        for _ in range(4):
            try:
                warehouse(table).check()
                break
            except StorageError:
                query(postgres, self.refused(table))
        assert load(small_month, table) == 2000
        assert load(small_month, table) == 2000

    def test_check_reports_the_grant_to_create_the_schema(
        self, postgres: str, role: str, small_month: Path
    ) -> None:
        database = urlsplit(postgres).path[1:]
        assert self.refused() == f'GRANT CREATE ON DATABASE "{database}" TO {role}'
        assert "ON DATABASE" in self.refused("mine.trips")
        self.granted(postgres, None, small_month)

    def test_check_reports_the_grant_to_create_tables(
        self, postgres: str, role: str, small_month: Path
    ) -> None:
        assert self.refused("trips") == f'GRANT CREATE ON SCHEMA "public" TO {role}'
        query(postgres, "CREATE SCHEMA mine")
        assert self.refused("mine.trips") == f'GRANT USAGE, CREATE ON SCHEMA "mine" TO {role}'
        self.granted(postgres, "mine.trips", small_month)

    def test_check_reports_the_grant_for_tables_of_another_role(
        self, postgres: str, role: str, small_month: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = os.environ["POSTGRES_URL"]
        monkeypatch.setenv("POSTGRES_URL", postgres)
        load(small_month)
        monkeypatch.setenv("POSTGRES_URL", own)
        query(postgres, f"GRANT ALL ON SCHEMA dezoomcamp TO {role}")
        [(owner,)] = query(postgres, "SELECT quote_ident(current_user)")
        assert self.refused() == f'GRANT "{owner}" TO {role}'
        self.granted(postgres, None, small_month)

    def test_check_reports_a_read_only_role(
        self, postgres: str, role: str, small_month: Path
    ) -> None:
        query(postgres, f"ALTER ROLE {role} SET default_transaction_read_only = on")
        for check in (find_database().check, warehouse().check):
            with pytest.raises(
                StorageError, match=r"read-only for .*default_transaction"
            ) as problem:
                check()
        message = str(problem.value)
        query(postgres, message[message.index("ALTER ROLE") : message.index(", or connect")])
        self.granted(postgres, None, small_month)


def test_flow_checks_permissions_before_it_fetches(
    postgres: str, role: str, site: Any, month_file: Callable[..., Path]
) -> None:
    from ingest_data_flow import ingest_data

    raw = month_file(YELLOW, 2000)
    (site.folder / raw.name).write_bytes(raw.read_bytes())
    with pytest.raises(StorageError, match='GRANT CREATE ON SCHEMA "public" TO'):
        ingest_data("yellow_taxi_trips", [1], 2021, "yellow")
    assert site.requests == []
