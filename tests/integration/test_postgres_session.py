"""PostgreSQL sessions: encodings and defaults of the database, the role and the user."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse
from tests.support.month_loads import Clean
from tests.support.postgres import load, query

YELLOW = TripMonth("yellow", 2021, 1)
NOTES = ["Café", "Zürich", "plain", None]


@pytest.fixture
def noted(small_month: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return the month with a text column `note`."""

    def make(notes: list[str | None] = NOTES) -> Path:
        table = pq.read_table(small_month).slice(0, len(notes))
        path = tmp_path / "noted.parquet"
        pq.write_table(table.append_column("note", pa.array(notes, pa.string())), path)
        return path

    return make


class TestEncoding:
    """Binary COPY sends UTF-8, so the session must set client_encoding."""

    @pytest.mark.few(2)
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


@pytest.mark.few(1)
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
    setting: str, postgres: str, small_month: Path, clean: Clean
) -> None:
    query(postgres, f"ALTER DATABASE {urlsplit(postgres).path[1:]} SET {setting}")
    assert load(clean(YELLOW, 100_000)) == 100_000
    assert load(small_month) == 2000
    warehouse = PostgresWarehouse(find_database())
    assert warehouse.count(YELLOW) == 2000
    assert "months can be loaded" in warehouse.check()
