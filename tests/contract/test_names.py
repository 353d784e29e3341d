"""Column names in every warehouse: loaded unchanged, or rejected before anything changes."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES
from nyc_taxi.warehouses.postgres.column_types import MAX_NAME_LENGTH
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.warehouses import WAREHOUSES, EmptyWarehouse

YELLOW = TripMonth("yellow", 2021, 1)
EVERYWHERE = ["select", "1a", "two words", "per%cent", "%s", "a:b", "it's", "a-b", "a&b", "a<b>|c",
              "é", "ÉCOLE", "日本", "Straße", "İstanbul", "a" * 60, "user", "row", "CamelCase",
              "rowid", "color", "_a"]  # fmt: skip
NOT_IN_BIGQUERY = ['quo"te', "semi;colon", "a.b", "a,b", "a(b)", "a*b", "a/b", "a\\b", "a`b", "a$1",
                   "; DROP TABLE x; --", "_TABLE_SUFFIX", "_partitiontime"]  # fmt: skip
NOWHERE = ["trip_month", "Trip_Month", "", "  ", "a\nb", "a\tb"]
NOT_IN_POSTGRES = ["é" * 32, "a" * 64, "ctid", "XMIN", "tableoid"]
anyhow = settings(
    deadline=None,
    max_examples=settings().max_examples // 4,
    suppress_health_check=list(HealthCheck),
)  # each example loads twice


@pytest.fixture(params=WAREHOUSES)
def warehouse(request: pytest.FixtureRequest) -> EmptyWarehouse:
    return WAREHOUSES[request.param](request)


@pytest.fixture(scope="module")
def trips(month_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    path = tmp_path_factory.mktemp("names") / "clean.parquet"
    conform(YELLOW, month_file(YELLOW, 2000)).write(path)
    return pq.read_table(path).slice(0, 2)


def with_names(trips: pa.Table, names: list[str], path: Path) -> Path:
    for n, name in enumerate(names):
        trips = trips.append_column(name, pa.array([n, None], pa.int64()))
    pq.write_table(trips, path)
    return path


def quoted(warehouse: EmptyWarehouse, name: str) -> str:
    if warehouse.address.startswith(("bigquery:", "spark:")):
        return "`" + name.replace("`", "``") + "`"
    if warehouse.address.startswith("postgres:"):
        name = name.lower()
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.slow_on("bigquery")
def test_unusual_names_are_loaded(
    warehouse: EmptyWarehouse, trips: pa.Table, tmp_path: Path
) -> None:
    names = list(EVERYWHERE)
    if not warehouse.address.startswith("bigquery:"):
        names += NOT_IN_BIGQUERY
    file = with_names(trips, names, tmp_path / "odd.parquet")
    for _ in range(2):
        assert warehouse.open().replace_month(YELLOW, file, {"passenger_count": 0}) == 2
        assert warehouse.open().replace_table("odd", file) == 2
        columns = ", ".join(quoted(warehouse, name) for name in names)
        for table in ("yellow_rides", "odd"):
            stored = warehouse.query(f"SELECT {columns} FROM dezoomcamp.{table}")
            assert sorted(stored, key=repr) == sorted(
                [tuple(range(len(names))), (None,) * len(names)], key=repr
            )


@pytest.mark.slow_on("bigquery")
def test_names_match_the_table_case_insensitively(
    warehouse: EmptyWarehouse, trips: pa.Table, tmp_path: Path
) -> None:
    for name in ("Extra É", "extra é", "EXTRA É"):
        file = with_names(trips, [name], tmp_path / "case.parquet")
        assert warehouse.open().replace_month(YELLOW, file, {}) == 2
    stored = warehouse.query(f"SELECT {quoted(warehouse, 'Extra É')} FROM dezoomcamp.yellow_rides")
    assert sorted(stored, key=repr) == [(0,), (None,)]


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(2)
@pytest.mark.parametrize("names", [*([name] for name in NOWHERE), ["Foo", "foo"], ["é", "É"]])
def test_names_invalid_in_every_warehouse_are_rejected(
    warehouse: EmptyWarehouse, trips: pa.Table, tmp_path: Path, names: list[str]
) -> None:
    warehouse.open().replace_month(YELLOW, with_names(trips, [], tmp_path / "good.parquet"), {})
    file = with_names(trips, names, tmp_path / "bad.parquet")
    with pytest.raises(StorageError, match=r"bad\.parquet has a column .* Nothing was changed"):
        warehouse.open().replace_month(YELLOW, file, {})
    assert warehouse.open().count(YELLOW) == 2


@pytest.mark.parametrize(
    ("kind", "names"), [("postgres", NOT_IN_POSTGRES), ("bigquery", [*NOT_IN_BIGQUERY, "a" * 301])]
)
def test_names_invalid_in_one_warehouse_are_rejected(
    kind: str, names: list[str], trips: pa.Table, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    warehouse = WAREHOUSES[kind](request)
    for name in names:
        file = with_names(trips, [name], tmp_path / "bad.parquet")
        for load in (
            partial(warehouse.open().replace_month, YELLOW, file, {}),
            partial(warehouse.open().replace_table, "odd", file),
        ):
            with pytest.raises(StorageError, match=r"bad\.parquet has a column .* Nothing was"):
                load()
    assert warehouse.open().count(YELLOW) == 0


TAKEN = {"trip_month", "ctid", *(column.name.lower() for column in SERVICES["yellow"].columns)}
signs = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cf", "Co", "Cn"])
names = st.lists(st.text(signs, min_size=1, max_size=12), min_size=1, max_size=4).filter(
    lambda names: (
        all(name.isprintable() and name.strip() for name in names)
        and len({name.lower() for name in names}) == len(names)
        and not {name.lower() for name in names} & TAKEN
        and all(len(name.lower().encode()) <= MAX_NAME_LENGTH for name in names)
    )
)


@given(names)
@anyhow
def test_any_name_is_loaded_into_duckdb(trips: pa.Table, tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "any.duckdb"
    path.unlink(missing_ok=True)
    file = with_names(trips, names, tmp_path / "any.parquet")
    for _ in range(2):
        assert open_warehouse(f"duckdb:{path}").replace_month(YELLOW, file, {}) == 2
    with duckdb.connect(str(path), read_only=True) as db:
        columns = [row[0] for row in db.execute("DESCRIBE dezoomcamp.yellow_rides").fetchall()]
        listed = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        [stored] = db.execute(
            f"SELECT {listed} FROM dezoomcamp.yellow_rides ORDER BY ALL NULLS LAST LIMIT 1"
        ).fetchall()
    assert columns[-len(names) :] == names
    assert stored == tuple(range(len(names)))


@given(names)
@anyhow
def test_any_name_is_loaded_into_postgresql(
    postgres: str, trips: pa.Table, tmp_path: Path, names: list[str]
) -> None:
    file = with_names(trips, names, tmp_path / "any.parquet")
    with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
        db.autocommit = True
        cursor.execute("DROP SCHEMA IF EXISTS dezoomcamp CASCADE")
        for _ in range(2):
            assert open_warehouse("postgres:none").replace_month(YELLOW, file, {}) == 2
        listed = ", ".join('"' + name.lower().replace('"', '""') + '"' for name in names)
        cursor.execute(
            f"SELECT {listed} FROM dezoomcamp.yellow_rides ORDER BY 1 NULLS LAST LIMIT 1"
        )
        assert cursor.fetchall() == [tuple(range(len(names)))]


@pytest.mark.slow
def test_dataframe_keeps_values(bigquery_block: str, trips: pa.Table, tmp_path: Path) -> None:
    """An integer next to a null, and a name that the load job of a DataFrame would not find."""
    from google.cloud import bigquery

    warehouse = open_warehouse(f"bigquery:{bigquery_block}", "dataframe")
    file = tmp_path / "any.parquet"
    pq.write_table(trips.append_column("large", pa.array([2**53 + 1, None], pa.int64())), file)
    assert warehouse.replace_month(YELLOW, file, {}) == 2
    query = "SELECT sum(large), count(large) FROM dezoomcamp.yellow_rides"
    [row] = bigquery.Client(project=bigquery_block).query_and_wait(query)
    assert row.values() == (2**53 + 1, 1)
    with pytest.raises(StorageError, match=r"two words.*omit --method"):
        warehouse.replace_month(YELLOW, with_names(trips, ["two words"], file), {})
