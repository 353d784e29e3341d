"""One contract for every warehouse: a month is replaced whole, or what was there stays."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import start
from google.cloud import bigquery

from nyc_taxi.conform import conform
from nyc_taxi.errors import BadInput, Busy, StoreError
from nyc_taxi.months import TripMonth
from nyc_taxi.warehouses import Warehouse, open_warehouse

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)
FILL = {"passenger_count": 0}
Clean = Callable[..., Path]


class Place(NamedTuple):
    """A warehouse of the test's own, and a way to ask it that does not go through our code."""

    address: str
    ask: Callable[[str], list[tuple[Any, ...]]]

    def open(self) -> Warehouse:
        return open_warehouse(self.address)


def duckdb_place(request: pytest.FixtureRequest) -> Place:
    path = request.getfixturevalue("tmp_path") / "contract.duckdb"

    def ask(query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path), read_only=True) as db:
            return db.execute(query).fetchall()

    return Place(f"duckdb:{path}", ask)


def bigquery_place(request: pytest.FixtureRequest) -> Place:
    project = request.getfixturevalue("bigquery_block")
    client = bigquery.Client(project=project)

    def ask(query: str) -> list[tuple[Any, ...]]:
        return [row.values() for row in client.query_and_wait(query)]

    return Place(f"bigquery:{project}", ask)


def postgres_place(request: pytest.FixtureRequest) -> Place:
    url = request.getfixturevalue("postgres")

    def ask(query: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(url)) as db, db.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    return Place("postgres:no-such-block", ask)


PLACES = {"duckdb": duckdb_place, "bigquery": bigquery_place, "postgres": postgres_place}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    return PLACES[request.param](request)


@pytest.fixture(scope="session")
def clean(
    month_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Conformed files of a month: clean(trips, rows)."""
    folder = tmp_path_factory.mktemp("clean")

    def make(trips: TripMonth, rows: int, seed: int = 0) -> Path:
        path = folder / f"{trips.stem}-{rows}-{seed}.parquet"
        if not path.exists():
            conform(trips, month_file(trips, rows, seed=seed)).write(path)
        return path

    return make


def sums(place: Place, color: str = "yellow") -> list[tuple[Any, ...]]:
    """What a month's rows come to: equal sums, equal rows, as far as a test can tell."""
    return in_cents(
        place.ask(
            "SELECT trip_month, count(*), sum(total_amount), sum(PULocationID), "
            f"count(passenger_count) FROM dezoomcamp.{color}_rides GROUP BY trip_month ORDER BY 1"
        )
    )


def in_cents(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The order in which doubles are added shows in their sum's last digits."""
    return [(month, count, round(dollars, 2), *rest) for month, count, dollars, *rest in rows]


def test_what_is_in_the_file_is_in_the_table(place: Place, clean: Clean) -> None:
    file = clean(YELLOW, 5000)
    assert place.open().count(YELLOW) == 0
    assert place.open().replace_month(YELLOW, file, {}) == 5000
    assert place.open().count(YELLOW) == 5000
    with duckdb.connect() as db:
        expected = db.execute(
            f"SELECT DATE '2021-01-01', count(*), sum(total_amount), sum(PULocationID), "
            f"count(passenger_count) FROM '{file}'"
        ).fetchall()
    assert sums(place) == in_cents(expected)


def test_a_second_load_changes_nothing(place: Place, clean: Clean) -> None:
    for _ in range(2):
        place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    first = sums(place)
    place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert sums(place) == first
    assert first[0][1] == 5000


def test_a_month_is_replaced_and_its_neighbours_stay(place: Place, clean: Clean) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    place.open().replace_month(FEBRUARY, clean(FEBRUARY, 3000), FILL)
    february = sums(place)[1]
    place.open().replace_month(YELLOW, clean(YELLOW, 2000, seed=7), FILL)
    assert [row[1] for row in sums(place)] == [2000, 3000]
    assert sums(place)[1] == february


def test_nulls_are_filled_only_where_asked(place: Place, clean: Clean) -> None:
    file = clean(YELLOW, 5000)
    known = pq.read_table(file, columns=["passenger_count"])["passenger_count"]
    assert known.null_count > 0
    place.open().replace_month(YELLOW, file, {})
    assert sums(place)[0][4] == 5000 - known.null_count
    place.open().replace_month(YELLOW, file, FILL)
    assert sums(place)[0][4] == 5000


@pytest.mark.parametrize("order", [(2021, 2025), (2025, 2021)])
def test_a_new_column_is_added_and_an_old_one_kept(
    place: Place, clean: Clean, order: tuple[int, int], month_file: Callable[..., Path]
) -> None:
    for year in order:
        trips = TripMonth("green", year, 1)
        place.open().replace_month(trips, clean(trips, 2000), FILL)
    later = TripMonth("green", 2026, 6)
    place.open().replace_month(later, clean(later, 2000), FILL)
    counts = place.ask(
        "SELECT trip_month, count(*), count(cbd_congestion_fee), count(request_source) "
        "FROM dezoomcamp.green_rides GROUP BY trip_month ORDER BY 1"
    )
    assert [row[1] for row in counts] == [2000, 2000, 2000]
    assert [row[2] > 0 for row in counts] == [False, True, True]
    assert [row[3] > 0 for row in counts] == [False, False, True]


def test_the_view_shows_yellow_and_green_together(place: Place, clean: Clean) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert place.ask("SELECT DISTINCT color FROM dezoomcamp.rides") == [("yellow",)]
    place.open().replace_month(GREEN, clean(GREEN, 2000), FILL)
    rides = place.ask(
        "SELECT color, count(*), count(pickup_datetime), count(dropoff_datetime), "
        "count(passenger_count) FROM dezoomcamp.rides GROUP BY color ORDER BY color"
    )
    assert rides == [("green", 2000, 2000, 2000, 2000), ("yellow", 5000, 5000, 5000, 5000)]


def test_an_empty_month_is_a_month(place: Place, clean: Clean, tmp_path: Path) -> None:
    full, empty = clean(YELLOW, 2000), tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(full).slice(0, 0), empty)
    assert place.open().replace_month(YELLOW, empty, FILL) == 0
    assert place.open().count(YELLOW) == 0
    place.open().replace_month(YELLOW, full, FILL)
    assert place.open().replace_month(YELLOW, empty, FILL) == 0
    assert place.open().count(YELLOW) == 0


@pytest.mark.parametrize("months", [(YELLOW, FEBRUARY), (YELLOW, YELLOW)])
def test_two_loads_at_once(place: Place, clean: Clean, months: tuple[TripMonth, ...]) -> None:
    """In one process, as a flow with several months does."""
    with ThreadPoolExecutor(2) as pool:
        loads = [
            pool.submit(place.open().replace_month, trips, clean(trips, 5000), FILL)
            for trips in months
        ]
    assert [load.result() for load in loads] == [5000, 5000]
    assert [row[1] for row in sums(place)] == [5000] * len(set(months))


LOAD = (
    "from pathlib import Path; from nyc_taxi.warehouses import open_warehouse;"
    "from nyc_taxi.months import TripMonth;"
    "w = open_warehouse('{address}'); print('ready', flush=True);"
    "print(w.replace_month(TripMonth('{color}', {year}, {month}), Path('{file}'), {fill}))"
)


def load_code(place: Place, trips: TripMonth, file: Path) -> str:
    return LOAD.format(
        address=place.address, color=trips.color, year=trips.year, month=trips.month,
        file=file, fill=FILL,
    )  # fmt: skip


def test_two_processes_at_once(place: Place, clean: Clean) -> None:
    runs = [
        start("-c", load_code(place, trips, clean(trips, 50_000)))
        for trips in (YELLOW, FEBRUARY, YELLOW)
    ]
    for run in runs:
        output = run.communicate()[0]
        assert run.returncode == 0, output
    assert [row[1] for row in sums(place)] == [50_000, 50_000]


def test_killed_half_way_and_run_again(place: Place, clean: Clean) -> None:
    """Killed at three moments of the load: the old month or the new one, then one clean copy."""
    old, new = clean(YELLOW, 5000), clean(YELLOW, 300_000)
    place.open().replace_month(YELLOW, old, FILL)
    began = time.monotonic()
    place.open().replace_month(YELLOW, new, FILL)
    whole = time.monotonic() - began
    expected = sums(place)
    moments = random.Random(1)
    for share in (0.2, 0.5, 0.8):
        place.open().replace_month(YELLOW, old, FILL)
        with start("-c", load_code(place, YELLOW, new)) as run:
            assert run.stdout
            assert run.stdout.readline() == "ready\n"
            time.sleep(whole * share * moments.uniform(0.8, 1))
            run.kill()
        assert place.open().count(YELLOW) in (5000, 300_000)
        place.open().replace_month(YELLOW, new, FILL)
        assert sums(place) == expected


def test_a_file_that_is_no_parquet_changes_nothing(
    place: Place, clean: Clean, tmp_path: Path
) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    page = tmp_path / "page.parquet"
    page.write_text("<html>")
    with pytest.raises(Exception, match=r"page\.parquet"):
        place.open().replace_month(YELLOW, page, FILL)
    assert place.open().count(YELLOW) == 5000


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Small files: small(rows), or with another column: small(rows, remark=...)."""

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


def table(place: Place, columns: str = "LocationID, Zone, area") -> list[tuple[Any, ...]]:
    return place.ask(f"SELECT {columns} FROM dezoomcamp.places ORDER BY LocationID")


def test_a_small_table_is_what_the_file_holds(place: Place, small: Callable[..., Path]) -> None:
    for _ in range(2):
        assert place.open().replace_table("places", small(3)) == 3
        assert table(place) == [(1, "N/A", 0.5), (2, "N/A", 0.5), (3, "N/A", None)]
    assert place.open().replace_table("places", small(1, "Zürich")) == 1
    assert table(place) == [(1, "Zürich", None)]


def test_a_small_table_of_other_columns(place: Place, small: Callable[..., Path]) -> None:
    place.open().replace_table("places", small(2, remark=pa.array(["a", None])))
    assert table(place, "remark") == [("a",), (None,)]
    place.open().replace_table("places", small(2))
    with pytest.raises(Exception, match="remark"):
        table(place, "remark")
    place.open().replace_table("places", small(1, "b", area=pa.array(["wide"])))
    assert table(place) == [(1, "b", "wide")]


def test_a_small_table_joins_the_trips(
    place: Place, clean: Clean, small: Callable[..., Path]
) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 2000), FILL)
    place.open().replace_table("places", small(265))
    assert place.ask(
        "SELECT count(*) FROM dezoomcamp.rides JOIN dezoomcamp.places ON PULocationID = LocationID"
    ) == [(2000,)]


@pytest.mark.parametrize("name", ["rides", "yellow_rides", "loads", "Places", "a.b", "", "a b"])
def test_a_small_table_that_cannot_be_called_so(
    place: Place, clean: Clean, small: Callable[..., Path], name: str
) -> None:
    with pytest.raises(BadInput, match="a small table cannot be called"):
        place.open().replace_table(name, small(1))


def test_a_small_table_killed_half_way(place: Place, small: Callable[..., Path]) -> None:
    """The old table or the new one, whenever it is; then a clean run makes the new one."""
    old, new = small(1000, "old"), small(20_000, "new" * 1000)
    place.open().replace_table("places", old)
    began = time.monotonic()
    place.open().replace_table("places", new)
    whole = time.monotonic() - began
    count = "SELECT count(*), min(substr(Zone, 1, 3)), max(substr(Zone, 1, 3)) "
    code = (
        "from pathlib import Path; from nyc_taxi.warehouses import open_warehouse;"
        f"w = open_warehouse({place.address!r}); print('ready', flush=True);"
        f"w.replace_table('places', Path({str(new)!r}))"
    )
    for share in (0.2, 0.5, 0.8):
        place.open().replace_table("places", old)
        with start("-c", code) as run:
            assert run.stdout
            assert run.stdout.readline() == "ready\n"
            time.sleep(whole * share)
            run.kill()
        found = place.ask(f"{count} FROM dezoomcamp.places")
        assert found in ([(1000, "old", "old")], [(20_000, "new", "new")])
        assert place.open().replace_table("places", new) == 20_000
        assert place.ask(f"{count} FROM dezoomcamp.places") == [(20_000, "new", "new")]


def test_two_small_tables_at_once(place: Place, small: Callable[..., Path]) -> None:
    file = small(100)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(place.open().replace_table, "places", file) for _ in range(3)]
    assert [run.result() for run in runs] == [100, 100, 100]
    assert place.ask("SELECT count(*) FROM dezoomcamp.places") == [(100,)]


class TestDuckDB:
    """What only the DuckDB file can go through."""

    @pytest.fixture
    def place(self, request: pytest.FixtureRequest) -> Place:
        return duckdb_place(request)

    def test_types_of_the_table(self, place: Place, clean: Clean) -> None:
        place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        kinds = {row[0]: row[1] for row in place.ask("DESCRIBE dezoomcamp.yellow_rides")}
        assert kinds["trip_month"] == "DATE"
        assert kinds["passenger_count"] == kinds["PULocationID"] == "BIGINT"
        assert kinds["tpep_pickup_datetime"] == "TIMESTAMP"
        assert kinds["airport_fee"] == "DOUBLE"

    def test_a_file_that_another_program_holds(
        self, place: Place, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = place.address.removeprefix("duckdb:")
        hold = f"import duckdb; db = duckdb.connect({path!r}); "
        hold += "print('held', flush=True); import time; time.sleep(60)"
        monkeypatch.setenv("NYC_TAXI_WAIT", "0.5")
        with start("-c", hold) as holder:
            assert holder.stdout
            holder.stdout.readline()
            with pytest.raises(Busy, match="held by another program"):
                place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
            holder.kill()
        assert place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL) == 1000

    def test_a_table_that_is_not_ours_is_refused(
        self, place: Place, clean: Clean, tmp_path: Path
    ) -> None:
        with duckdb.connect(str(tmp_path / "contract.duckdb")) as db:
            db.execute("CREATE SCHEMA dezoomcamp; CREATE TABLE dezoomcamp.yellow_rides (a INT)")
        with pytest.raises(StoreError, match="no column trip_month"):
            place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)

    def test_a_file_that_is_no_warehouse(self, place: Place, clean: Clean, tmp_path: Path) -> None:
        (tmp_path / "contract.duckdb").write_text("some notes of mine, longer than a header" * 500)
        with pytest.raises(StoreError, match="NYC_TAXI_WAREHOUSE"):
            place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
