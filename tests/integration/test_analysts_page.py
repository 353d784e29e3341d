"""The SQL of docs/analysts.md: its queries run, and its role reads all tables and writes none."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg2.errors import InsufficientPrivilege

from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.lookup_tables import LOOKUPS, lookup_rows
from nyc_taxi.trips.months import TripMonth
from tests.support.processes import ROOT
from tests.support.warehouses import (
    EmptyWarehouse,
    empty_bigquery,
    empty_duckdb,
    empty_postgres,
)

PAGE = (ROOT / "docs" / "analysts.md").read_text()
SQL = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
QUERIES = [sql for sql in SQL if sql.startswith("SELECT")]
[ROLE] = [sql for sql in SQL if sql not in QUERIES]
YELLOW = [TripMonth("yellow", 2021, 1), TripMonth("yellow", 2021, 2)]
GREEN = TripMonth("green", 2021, 1)
WRITES = (
    "INSERT INTO dezoomcamp.vendors VALUES (9, 'Mine')",
    "UPDATE dezoomcamp.yellow_rides SET extra = 0",
    "DELETE FROM dezoomcamp.yellow_rides_2021_02",
    "TRUNCATE dezoomcamp.zones",
    "DROP VIEW dezoomcamp.rides_labeled",
    "COMMENT ON TABLE dezoomcamp.zones IS 'mine'",
    "CREATE TABLE dezoomcamp.mine (a int)",
    "CREATE SCHEMA mine",
)


@pytest.fixture
def load(month_file: Callable[..., Path], tmp_path: Path) -> Callable[..., None]:
    """Load months, the lookups and the zones: load(warehouse, months, zone columns)."""

    def run(empty: EmptyWarehouse, months: list[TripMonth], *names: str) -> None:
        file = tmp_path / "file.parquet"
        for trips in months:
            conform(trips, month_file(trips, 2000)).write(file)
            empty.open().replace_month(trips, file, {})
        for table in LOOKUPS:
            pq.write_table(pa.Table.from_pylist(lookup_rows(table)), file)
            empty.open().replace_table(table, file)
        columns = {name: [f"{name} {id}" for id in range(1, 266)] for name in names}
        pq.write_table(pa.table({"LocationID": range(1, 266), **columns}), file)
        empty.open().replace_table("zones", file)

    return run


@pytest.mark.parametrize(
    "make",
    [empty_duckdb, empty_postgres, pytest.param(empty_bigquery, marks=pytest.mark.slow)],
)
def test_queries_for_analysts_run(
    request: pytest.FixtureRequest,
    load: Callable[..., None],
    make: Callable[[pytest.FixtureRequest], EmptyWarehouse],
) -> None:
    empty = make(request)
    load(empty, [YELLOW[0], GREEN], "Borough", "Zone")
    assert len(QUERIES) >= 6
    for query in QUERIES:
        assert empty.query(query)


@pytest.fixture
def analyst(postgres: str) -> Iterator[psycopg2.extensions.cursor]:
    """A session of the page's role, made before there is anything to read."""
    url = re.sub(r"//.*?@", "//analyst:replace-me@", postgres)
    with closing(psycopg2.connect(postgres)) as owner, owner.cursor() as cursor:
        owner.autocommit = True
        cursor.execute(ROLE)
        try:
            with closing(psycopg2.connect(url)) as db, db.cursor() as session:
                db.autocommit = True
                yield session
        finally:
            cursor.execute("DROP OWNED BY analyst; DROP ROLE analyst")


def test_role_for_analysts_reads_later_loads_and_writes_nothing(
    request: pytest.FixtureRequest,
    load: Callable[..., None],
    analyst: psycopg2.extensions.cursor,
) -> None:
    empty = empty_postgres(request)
    for months, zones in (
        (YELLOW[:1], ["Borough", "Zone"]),
        (YELLOW[1:], ["Zone"]),  # other columns: table and view are made anew
        ([GREEN], ["Borough", "Zone"]),  # a new table: the views are
    ):
        load(empty, months, *zones)
        analyst.execute("SELECT count(*), count(pickup_zone) FROM dezoomcamp.rides_labeled")
        [(rows, named)] = analyst.fetchall()
        assert rows >= named > 0
        for table in ("rides", "yellow_rides", "zones", *LOOKUPS):
            analyst.execute(f"SELECT count(*) FROM dezoomcamp.{table}")
            assert analyst.fetchone() != (0,)
    assert rows == 6000
    for query in QUERIES:
        analyst.execute(query)
        assert analyst.fetchone()
    analyst.execute("SET default_transaction_read_only = off")  # a default, not a right
    for write in WRITES:
        with pytest.raises(InsufficientPrivilege):
            analyst.execute(write)
