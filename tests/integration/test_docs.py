"""The commands and queries of the documentation run, and print what the pages show."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest

from docs.tools.pages import RECORDED, pages
from docs.tools.recorder import comparable, project, recorded, run
from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth
from reference.zones.utils import read_lookup, read_shapes, write_zones
from synthetic_tlc import write_zones as make_zones
from tests.support.processes import ROOT
from tests.support.warehouses import EmptyWarehouse, empty_duckdb, empty_postgres

ANALYSTS = (ROOT / "docs" / "analysts.md").read_text()
SQL = re.findall(r"```sql\n(.*?)```", ANALYSTS, re.DOTALL)
QUERIES = [sql for sql in SQL if sql.startswith("SELECT")]
[ROLE] = [sql for sql in SQL if sql not in QUERIES]
MONTHS = [TripMonth("yellow", 2021, 1), TripMonth("green", 2021, 1)]


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, month_file: Callable[..., Path]
) -> dict[TripMonth | None, Path]:
    """Conformed files of months, and of the zones under None."""
    folder = tmp_path_factory.mktemp("docs")
    for trips in MONTHS:
        conform(trips, month_file(trips, 2000)).write(folder / f"{trips.stem}.parquet")
    lookup = make_zones(folder)
    zones, shapes = read_lookup(lookup), read_shapes(folder / "taxi_zones.zip")
    return {
        None: write_zones(zones, shapes, Rules(), folder / "zones.parquet"),
        **{trips: folder / f"{trips.stem}.parquet" for trips in MONTHS},
    }


def load(empty: EmptyWarehouse, files: dict[TripMonth | None, Path]) -> None:
    warehouse = empty.open()
    for trips in MONTHS:
        warehouse.replace_month(trips, files[trips], {"passenger_count": 0})
    warehouse.replace_table("zones", files[None])


@pytest.mark.parametrize("create", [empty_duckdb, empty_postgres])
def test_queries_for_analysts_run_unchanged(
    request: pytest.FixtureRequest,
    files: dict[TripMonth | None, Path],
    create: Callable[[pytest.FixtureRequest], EmptyWarehouse],
) -> None:
    warehouse = create(request)
    load(warehouse, files)
    assert len(QUERIES) >= 4
    for query in QUERIES:
        assert warehouse.query(query)


def test_role_for_analysts_reads_every_later_load_and_writes_nothing(
    request: pytest.FixtureRequest, files: dict[TripMonth | None, Path], postgres: str
) -> None:
    warehouse = empty_postgres(request)
    with closing(psycopg2.connect(postgres)) as owner, owner.cursor() as cursor:
        owner.autocommit = True
        cursor.execute(ROLE)
        try:
            load(warehouse, files)
            url = re.sub(r"//.*?@", "//analyst:replace-me@", postgres)
            with closing(psycopg2.connect(url)) as db, db.cursor() as analyst:
                db.autocommit = True
                for query in QUERIES:
                    analyst.execute(query)
                    assert analyst.fetchone()
                load(warehouse, files)  # while the analyst is connected
                analyst.execute("SELECT count(*) FROM dezoomcamp.rides")
                assert analyst.fetchone() == (4000,)
                analyst.execute("SET default_transaction_read_only = off")
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    analyst.execute("DELETE FROM dezoomcamp.zones")
        finally:
            cursor.execute("DROP OWNED BY analyst")
            cursor.execute("DROP ROLE analyst")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [path for path in pages() if RECORDED.search(path.read_text())])
def test_recorded_commands_print_what_the_page_shows(page: Path) -> None:
    """Record them again with `make docs-output`."""
    text = page.read_text()
    shown = "".join(RECORDED.findall(text))
    now = "".join(RECORDED.findall(recorded(text)))
    assert comparable(now) == comparable(shown)


@pytest.mark.slow
def test_demo_prints_what_the_readme_shows() -> None:
    readme = (ROOT / "README.md").read_text()
    [block] = re.findall(r"```console\n\$ make demo\n(.*?)```", readme, re.DOTALL)
    ours = (line for line in block.splitlines() if not line.startswith((".", "python3 -m")))
    lines = [line for line in ours if line]
    with project() as (folder, env):
        output = run("make demo", folder, env).splitlines()
    assert lines == [line for line in output if line in lines]
