"""Contract of every warehouse: a lookup table is replaced as a whole, with its columns."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.trips.months import TripMonth
from tests.support.month_loads import FILL, Clean
from tests.support.processes import start, wait_until_ready
from tests.support.warehouses import EmptyWarehouse, execute

YELLOW = TripMonth("yellow", 2021, 1)


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Return a lookup file: small(rows), or with another column: small(rows, remark=...)."""

    def make(rows: int, text: str = "N/A", **more: pa.Array) -> Path:
        path = tmp_path / f"small-{rows}-{text[:1]}-{len(more)}.parquet"
        ids = pa.array(range(1, rows + 1), pa.int16())
        columns = {
            "LocationID": ids,
            "Zone": [text] * rows,
            "area": pa.array([0.5] * (rows - 1) + [None], pa.float64()),
        }
        pq.write_table(pa.table({**columns, **more}), path)
        return path

    return make


def table(target: EmptyWarehouse, columns: str = "LocationID, Zone, area") -> list[tuple[Any, ...]]:
    return target.query(f"SELECT {columns} FROM dezoomcamp.places ORDER BY LocationID")


def test_replace_table_stores_the_rows_of_the_file(
    target: EmptyWarehouse, small: Callable[..., Path]
) -> None:
    for _ in range(2):
        assert target.open().replace_table("places", small(3)) == 3
        assert table(target) == [(1, "N/A", 0.5), (2, "N/A", 0.5), (3, "N/A", None)]
    assert target.open().replace_table("places", small(1, "Zürich")) == 1
    assert table(target) == [(1, "Zürich", None)]


@pytest.mark.slow_on("bigquery")
def test_replace_table_replaces_the_columns(
    target: EmptyWarehouse, small: Callable[..., Path]
) -> None:
    target.open().replace_table("places", small(2, remark=pa.array(["a", None])))
    assert table(target, "remark") == [("a",), (None,)]
    target.open().replace_table("places", small(2))
    with pytest.raises(Exception, match="remark"):
        table(target, "remark")
    target.open().replace_table("places", small(1, "b", area=pa.array(["wide"])))
    assert table(target) == [(1, "b", "wide")]


def test_replace_table_gives_a_table_that_joins_the_trips(
    target: EmptyWarehouse, clean: Clean, small: Callable[..., Path]
) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, 2000), FILL)
    target.open().replace_table("places", small(265))
    assert target.query(
        "SELECT count(*) FROM dezoomcamp.rides JOIN dezoomcamp.places ON PULocationID = LocationID"
    ) == [(2000,)]


@pytest.mark.slow_on("bigquery")
def test_replace_table_rejects_a_table_of_a_user(
    target: EmptyWarehouse, small: Callable[..., Path]
) -> None:
    """It has another key; BigQuery used to overwrite it."""
    target.open().replace_table("zones", small(1))  # creates the schema
    execute(target, "CREATE TABLE dezoomcamp.places AS SELECT 'Acme' AS name")
    with pytest.raises(StorageError, match=r"places has no column LocationID, so these flows did"):
        target.open().replace_table("places", small(2))
    assert target.query("SELECT * FROM dezoomcamp.places") == [("Acme",)]


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["rides", "yellow_rides", "loads", "Places", "a.b", "", "a b"])
def test_replace_table_rejects_an_invalid_name(
    target: EmptyWarehouse, clean: Clean, small: Callable[..., Path], name: str
) -> None:
    with pytest.raises(InvalidInputError, match="is not a valid name for a lookup table"):
        target.open().replace_table(name, small(1))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.2, 0.8])
def test_replace_table_is_atomic_when_killed(
    target: EmptyWarehouse, small: Callable[..., Path], share: float
) -> None:
    """Either the old or the new table remains; a rerun replaces it."""
    old, new = small(1000, "old"), small(20_000, "new" * 1000)
    target.open().replace_table("places", old)
    began = time.monotonic()
    target.open().replace_table("places", new)
    whole = time.monotonic() - began
    count = "SELECT count(*), min(substr(Zone, 1, 3)), max(substr(Zone, 1, 3)) "
    code = (
        "from pathlib import Path; from nyc_taxi.warehouses.registry import open_warehouse;"
        f"w = open_warehouse({target.address!r}); print('ready', flush=True);"
        f"w.replace_table('places', Path({str(new)!r}))"
    )
    target.open().replace_table("places", old)
    with start("-c", code) as run:
        wait_until_ready(run)
        time.sleep(whole * share)
        run.kill()
    found = target.query(f"{count} FROM dezoomcamp.places")
    assert found in ([(1000, "old", "old")], [(20_000, "new", "new")])
    assert target.open().replace_table("places", new) == 20_000
    assert target.query(f"{count} FROM dezoomcamp.places") == [(20_000, "new", "new")]


@pytest.mark.slow_on("bigquery")
def test_concurrent_replace_table_succeeds(
    target: EmptyWarehouse, small: Callable[..., Path]
) -> None:
    file = small(100)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(target.open().replace_table, "places", file) for _ in range(3)]
    assert [run.result() for run in runs] == [100, 100, 100]
    assert target.query("SELECT count(*) FROM dezoomcamp.places") == [(100,)]
