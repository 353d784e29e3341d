"""Builds where users run them: other settings, names and tables than the project's own."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2
import pytest

from nyc_taxi.errors import InvalidInputError, StorageError, TransformError
from nyc_taxi.transform.dbt import Dbt
from nyc_taxi.transform.targets.registry import open_target
from tests.support.builds import JANUARY, PROJECT, SmallLakehouse, on_postgres_url
from tests.support.built_lakehouses import empty_database
from tests.support.warehouses import EmptyWarehouse

PUBLISHED = [("2021-01-01", 3, 1, 3)]
DBT_OPTIONS = {
    "DBT_EMPTY": "1",
    "DBT_ENGINE_EMPTY": "1",
    "DBT_PROFILE": "other",
    "DBT_PROFILES_DIR": "/nowhere",
    "DBT_PROJECT_DIR": "/nowhere",
    "DBT_TARGET": "prod",
    "DBT_TARGET_PATH": "/nowhere",
    "DBT_LOG_PATH": "/nowhere",
    "DBT_DEFER": "1",
    "DBT_STATE": "/nowhere",
    "DBT_WARN_ERROR": "1",
    "DBT_RESOURCE_TYPES": "model",
    "DBT_SAMPLE": "3 days",
}
POSTGRES_SETTINGS = (
    "default_transaction_isolation = 'serializable'",
    "DateStyle = 'SQL, DMY'",
    "TimeZone = 'Asia/Kolkata'",
    "search_path = 'nowhere'",
    "standard_conforming_strings = off",
    "extra_float_digits = -3",
    "quote_all_identifiers = on",
    "idle_in_transaction_session_timeout = '1s'",
)


def on_file(path: Path) -> SmallLakehouse:
    def query(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(path)) as db:
            return db.execute(sql).fetchall()

    path.parent.mkdir(exist_ok=True)
    return SmallLakehouse(EmptyWarehouse(f"duckdb:{path}", query))


def build(lakehouse: SmallLakehouse) -> None:
    lakehouse.load(JANUARY, [1, 2, 3, -1], "first")
    lakehouse.build()


@pytest.mark.slow
def test_options_of_the_users_dbt_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DBT_EMPTY, tables without rows passed all tests and were published."""
    for name, value in DBT_OPTIONS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".dbt").mkdir()
    (tmp_path / ".dbt" / "profiles.yml").write_text("nyc_taxi: {target: x, outputs: {x: {}}}")
    (tmp_path / "dbt_project.yml").write_text("name: other")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    monkeypatch.chdir(tmp_path)
    before, project = dict(os.environ), sorted(PROJECT.rglob("*"))
    lakehouse = on_file(tmp_path / "warehouse.duckdb")
    build(lakehouse)
    assert lakehouse.published() == PUBLISHED
    assert sorted(PROJECT.rglob("*")) == project  # it may be in a read-only image
    assert dict(os.environ) == before
    assert Path.cwd() == tmp_path


@pytest.mark.slow_on("model")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda folder: (folder / "models/silver/new.sql").write_text("select {{ x( }}"),
            r"Error in model new \(models/silver/new.sql\): unexpected '}', expected '\)'",
        ),
        (
            lambda folder: (folder / "dbt_project.yml").write_text(
                (folder / "dbt_project.yml").read_text() + "\nrequire-dbt-version: '>=9.0.0'"
            ),
            r"not supported .* Installed version of dbt: =1\..*'>=9.0.0'.*; run make install",
        ),
    ],
    ids=["model", "version"],
)
def test_project_that_dbt_cannot_parse_is_explained(
    tmp_path: Path, change: Callable[[Path], object], problem: str
) -> None:
    shutil.copytree(PROJECT, tmp_path / "project")
    change(tmp_path / "project")
    dbt = Dbt(open_target(f"duckdb:{tmp_path / 'warehouse.duckdb'}"), tmp_path / "project")
    with pytest.raises(TransformError, match=rf"^dbt parse: .*{problem}$") as raised:
        dbt.parse()
    assert "\n" not in str(raised.value)


def test_sqlite_file_is_not_used(tmp_path: Path) -> None:
    """DuckDB would install an extension, and create the tables in it."""
    with closing(sqlite3.connect(tmp_path / "mine.db")) as db:
        db.execute("CREATE TABLE mine (id INTEGER)")
    with pytest.raises(StorageError, match=r"mine.db is an SQLite database; set NYC_TAXI_WAREHOU"):
        open_target(f"duckdb:{tmp_path / 'mine.db'}").query("SELECT 1")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["my trips é.v2.duckdb", "it's/100%.duckdb", "2021"])
def test_duckdb_file_may_have_any_other_name(tmp_path: Path, name: str) -> None:
    lakehouse = on_file(tmp_path / name)
    build(lakehouse)
    assert lakehouse.published() == PUBLISHED


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("C#/trips.duckdb", "dbt cannot open a path with #"),
        ("what?/trips.duckdb", "dbt cannot open a path with #"),
        ("o'brien.duckdb", "or a file name with a quote or semicolon"),
        ("a;b.duckdb", "or a file name with a quote or semicolon"),
        ("silver.duckdb", "cannot be named dezoomcamp, silver, gold, main, temp"),
        ("temp.db", "cannot be named dezoomcamp, silver, gold, main, temp"),
        ("Gold.v2.db", "cannot be named dezoomcamp, silver, gold, main, temp"),
    ],
)
def test_duckdb_file_that_dbt_cannot_open_is_refused(
    tmp_path: Path, name: str, problem: str
) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        open_target(f"duckdb:{tmp_path / name}")


def test_database_whose_name_has_a_quote_is_refused(
    monkeypatch: pytest.MonkeyPatch, prefect_server: None
) -> None:
    monkeypatch.setenv("POSTGRES_URL", "postgresql://user@localhost/o%27brien")
    with pytest.raises(InvalidInputError, match="its name has a quote"):
        open_target("postgres:no-such-block")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "name", "encoding"),
    [
        ("", "", "LATIN1"),
        ("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", "", "SQL_ASCII"),
        ("", "100% NYC-taxi {{ x }}", "UTF8"),
    ],
)
def test_settings_of_a_postgres_database_do_not_matter(
    postgres_server: str,
    monkeypatch: pytest.MonkeyPatch,
    prefect_server: None,
    options: str,
    name: str,
    encoding: str,
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    monkeypatch.setenv("PGDATESTYLE", "German")
    with empty_database(postgres_server, name, options) as url:
        with closing(psycopg2.connect(url)) as db, db, db.cursor() as cursor:
            for setting in POSTGRES_SETTINGS:
                cursor.execute(
                    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET ' || "
                    f"$s${setting}$s$, current_database()); END $$"
                )
        lakehouse = on_postgres_url(url)
        build(lakehouse)
        assert lakehouse.published() == PUBLISHED


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
@pytest.mark.parametrize(
    ("statement", "content"),
    [
        ("CREATE TABLE silver.trips AS SELECT 7 AS id", [(7,)]),
        (
            "CREATE VIEW silver.trips AS SELECT trip_month, CAST(fare AS REAL) AS fare FROM"
            " dezoomcamp.yellow_rides",
            None,
        ),
    ],
    ids=["table", "view"],
)
def test_tables_of_others_are_not_replaced(
    kind: str,
    statement: str,
    content: list[tuple[int]] | None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if kind == "duckdb":
        lakehouse = on_file(tmp_path / "warehouse.duckdb")
    else:
        request.getfixturevalue("prefect_server")
        lakehouse = on_postgres_url(request.getfixturevalue("postgres"))
    lakehouse.dbt.target.execute("CREATE SCHEMA silver", statement)
    with pytest.raises(TransformError, match=r"silver\.trips exists, and these flows did not crea"):
        build(lakehouse)
    rows = lakehouse.query("SELECT * FROM silver.trips")
    assert rows == content if content else len(rows) == 4
