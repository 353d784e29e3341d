"""One contract for every warehouse: a month is replaced whole, or what was there stays."""

import datetime
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidInputError, LocalWriteError, LockTimeoutError, StorageError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.bigquery import BigQueryWarehouse
from nyc_taxi.warehouses.duckdb import DuckDBWarehouse
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.processes import start
from tests.support.warehouses import LOAD_SCRIPT, WAREHOUSES, EmptyWarehouse, empty_duckdb

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)
FILL = {"passenger_count": 0}
Clean = Callable[..., Path]


@pytest.fixture(params=WAREHOUSES)
def place(request: pytest.FixtureRequest) -> EmptyWarehouse:
    return WAREHOUSES[request.param](request)


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


def sums(place: EmptyWarehouse, color: str = "yellow") -> list[tuple[Any, ...]]:
    """What a month's rows come to: equal sums, equal rows, as far as a test can tell."""
    return in_cents(
        place.query(
            "SELECT trip_month, count(*), sum(total_amount), sum(PULocationID), "
            f"count(passenger_count) FROM dezoomcamp.{color}_rides GROUP BY trip_month ORDER BY 1"
        )
    )


def in_cents(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The order in which doubles are added shows in their sum's last digits."""
    return [(month, count, round(dollars, 2), *rest) for month, count, dollars, *rest in rows]


def test_what_is_in_the_file_is_in_the_table(place: EmptyWarehouse, clean: Clean) -> None:
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


def test_a_second_load_changes_nothing(place: EmptyWarehouse, clean: Clean) -> None:
    for _ in range(2):
        place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    first = sums(place)
    place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert sums(place) == first
    assert first[0][1] == 5000


def test_a_month_is_replaced_and_its_neighbours_stay(place: EmptyWarehouse, clean: Clean) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    place.open().replace_month(FEBRUARY, clean(FEBRUARY, 3000), FILL)
    february = sums(place)[1]
    place.open().replace_month(YELLOW, clean(YELLOW, 2000, seed=7), FILL)
    assert [row[1] for row in sums(place)] == [2000, 3000]
    assert sums(place)[1] == february


def test_nulls_are_filled_only_where_asked(place: EmptyWarehouse, clean: Clean) -> None:
    file = clean(YELLOW, 5000)
    known = pq.read_table(file, columns=["passenger_count"])["passenger_count"]
    assert known.null_count > 0
    place.open().replace_month(YELLOW, file, {})
    assert sums(place)[0][4] == 5000 - known.null_count
    place.open().replace_month(YELLOW, file, FILL)
    assert sums(place)[0][4] == 5000


@pytest.mark.few(1)
@pytest.mark.parametrize("order", [(2021, 2025), (2025, 2021)])
def test_a_new_column_is_added_and_an_old_one_kept(
    place: EmptyWarehouse, clean: Clean, order: tuple[int, int], month_file: Callable[..., Path]
) -> None:
    for year in order:
        trips = TripMonth("green", year, 1)
        place.open().replace_month(trips, clean(trips, 2000), FILL)
    later = TripMonth("green", 2026, 6)
    place.open().replace_month(later, clean(later, 2000), FILL)
    counts = place.query(
        "SELECT trip_month, count(*), count(cbd_congestion_fee), count(request_source) "
        "FROM dezoomcamp.green_rides GROUP BY trip_month ORDER BY 1"
    )
    assert [row[1] for row in counts] == [2000, 2000, 2000]
    assert [row[2] > 0 for row in counts] == [False, True, True]
    assert [row[3] > 0 for row in counts] == [False, False, True]


def test_the_view_shows_yellow_and_green_together(place: EmptyWarehouse, clean: Clean) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert place.query("SELECT DISTINCT color FROM dezoomcamp.rides") == [("yellow",)]
    place.open().replace_month(GREEN, clean(GREEN, 2000), FILL)
    rides = place.query(
        "SELECT color, count(*), count(pickup_datetime), count(dropoff_datetime), "
        "count(passenger_count) FROM dezoomcamp.rides GROUP BY color ORDER BY color"
    )
    assert rides == [("green", 2000, 2000, 2000, 2000), ("yellow", 5000, 5000, 5000, 5000)]


def test_an_empty_month_is_a_month(place: EmptyWarehouse, clean: Clean, tmp_path: Path) -> None:
    full, empty = clean(YELLOW, 2000), tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(full).slice(0, 0), empty)
    assert place.open().replace_month(YELLOW, empty, FILL) == 0
    assert place.open().count(YELLOW) == 0
    place.open().replace_month(YELLOW, full, FILL)
    assert place.open().replace_month(YELLOW, empty, FILL) == 0
    assert place.open().count(YELLOW) == 0


@pytest.mark.few(1)
@pytest.mark.parametrize("months", [(YELLOW, FEBRUARY), (YELLOW, YELLOW)])
def test_two_loads_at_once(
    place: EmptyWarehouse, clean: Clean, months: tuple[TripMonth, ...]
) -> None:
    """In one process, as a flow with several months does."""
    with ThreadPoolExecutor(2) as pool:
        loads = [
            pool.submit(place.open().replace_month, trips, clean(trips, 5000), FILL)
            for trips in months
        ]
    assert [load.result() for load in loads] == [5000, 5000]
    assert [row[1] for row in sums(place)] == [5000] * len(set(months))


def load_code(place: EmptyWarehouse, trips: TripMonth, file: Path) -> str:
    return LOAD_SCRIPT.format(
        address=place.address, color=trips.color, year=trips.year, month=trips.month,
        file=file, fill=FILL,
    )  # fmt: skip


@pytest.mark.slow_on("bigquery")
def test_two_processes_at_once(place: EmptyWarehouse, clean: Clean) -> None:
    runs = [
        start("-c", load_code(place, trips, clean(trips, 50_000)))
        for trips in (YELLOW, FEBRUARY, YELLOW)
    ]
    for run in runs:
        output = run.communicate()[0]
        assert run.returncode == 0, output
    assert [row[1] for row in sums(place)] == [50_000, 50_000]


@pytest.mark.few(1)
@pytest.mark.parametrize("share", [0.5, 0.2, 0.8])
def test_killed_half_way_and_run_again(place: EmptyWarehouse, clean: Clean, share: float) -> None:
    """Killed at a moment of the load: the old month or the new one, then one clean copy."""
    old, new = clean(YELLOW, 5000), clean(YELLOW, 300_000)
    place.open().replace_month(YELLOW, old, FILL)
    began = time.monotonic()
    place.open().replace_month(YELLOW, new, FILL)
    whole = time.monotonic() - began
    expected = sums(place)
    place.open().replace_month(YELLOW, old, FILL)
    with start("-c", load_code(place, YELLOW, new)) as run:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
        time.sleep(whole * share)
        run.kill()
    assert place.open().count(YELLOW) in (5000, 300_000)
    place.open().replace_month(YELLOW, new, FILL)
    assert sums(place) == expected


@pytest.mark.few(1)
@pytest.mark.parametrize("share", [0.4, 0.1, 0.7])
def test_a_stopped_load_changes_nothing(place: EmptyWarehouse, clean: Clean, share: float) -> None:
    """Stopped within seconds at a moment of the load: the old month or the new one, unlocked."""
    old, new = clean(YELLOW, 5000), clean(YELLOW, 300_000)
    began = time.monotonic()
    place.open().replace_month(YELLOW, new, FILL)
    whole = time.monotonic() - began
    place.open().replace_month(YELLOW, old, FILL)
    with stoppable() as stop, ThreadPoolExecutor(1) as pool:
        load = pool.submit(copy_context().run, place.open().replace_month, YELLOW, new, FILL)
        time.sleep(whole * share)
        stop.set()
        began = time.monotonic()
        stopped = isinstance(load.exception(), Stopped)
        assert stopped or load.result() == 300_000
        assert time.monotonic() - began < 10
    assert place.open().count(YELLOW) in ((5000, 300_000) if stopped else (300_000,))
    assert place.open().replace_month(YELLOW, old, FILL) == 5000


def with_column(file: Path, name: str, values: pa.Array, target: Path) -> Path:
    """The first trips of a month, with another column or with one replaced."""
    table = pq.read_table(file).slice(0, len(values))
    at = table.schema.get_field_index(name)
    if at >= 0:
        pq.write_table(table.set_column(at, name, values), target)
    else:
        pq.write_table(table.append_column(name, values), target)
    return target


def test_values_of_every_type_arrive(place: EmptyWarehouse, clean: Clean, tmp_path: Path) -> None:
    table = pq.read_table(clean(YELLOW, 2000)).slice(0, 3)
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "a_truth": (pa.bool_(), [True, False, None]),
        "a_day": (pa.date32(), [datetime.date(1970, 1, 1), datetime.date(2021, 2, 28), None]),
        "a_price": (
            pa.decimal128(18, 3),
            [Decimal("123456789012345.678"), Decimal("-0.001"), None],
        ),
        "a_number": (pa.int64(), [2**63 - 1, -(2**63), None]),
        "a_double": (pa.float64(), [0.1, -1e300, None]),
        "a_text": (pa.string(), ["é 漢", "", None]),
        "a_time": (pa.timestamp("us"), [datetime.datetime(2021, 1, 1, 1, 2, 3, 4), None, None]),
    }
    for name, (kind, values) in columns.items():
        table = table.append_column(name, pa.array(values, kind))
    file = tmp_path / "typed.parquet"
    pq.write_table(table, file)
    for _ in range(2):
        assert place.open().replace_month(YELLOW, file, FILL) == 3
        stored = place.query(f"SELECT {', '.join(columns)} FROM dezoomcamp.yellow_rides")
        expected = zip(*(values for _, values in columns.values()), strict=True)
        assert sorted(map(repr, stored)) == sorted(map(repr, expected))
    assert place.open().replace_table("typed", file) == 3
    assert place.query("SELECT sum(a_price) FROM dezoomcamp.typed") == [
        (Decimal("123456789012345.677"),)
    ]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "kind",
    [pa.uint64(), pa.binary(), pa.time64("us"), pa.list_(pa.int64()), pa.struct({"a": pa.int64()})],
    ids=str,
)
def test_a_type_that_not_every_warehouse_has_is_refused(
    place: EmptyWarehouse, clean: Clean, tmp_path: Path, kind: pa.DataType
) -> None:
    file = with_column(clean(YELLOW, 2000), "odd", pa.array([None], kind), tmp_path / "odd.parquet")
    for load in (
        partial(place.open().replace_month, YELLOW, file, FILL),
        partial(place.open().replace_table, "odd", file),
    ):
        with pytest.raises(StorageError, match="odd as "):
            load()
    assert place.open().count(YELLOW) == 0


def test_whole_numbers_that_a_double_cannot_hold_are_refused(
    place: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    """A file may hold whole numbers where its table has doubles; no digit may get lost."""
    file, odd = clean(YELLOW, 2000), tmp_path / "odd.parquet"
    with_column(file, "an extra", pa.array([0.5, None]), odd)
    place.open().replace_month(YELLOW, odd, FILL)
    exact = [2**53, -(2**53), None]
    with_column(file, "an extra", pa.array(exact, pa.int64()), odd)
    assert place.open().replace_month(FEBRUARY, odd, FILL) == 3
    with_column(file, "an extra", pa.array([2**53 + 1, 1], pa.int64()), odd)
    with pytest.raises(StorageError, match="an extra"):
        place.open().replace_month(FEBRUARY, odd, FILL)
    assert place.open().count(FEBRUARY) == 3


def test_a_declared_column_of_another_type_is_refused(
    place: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    """As after a change of config/column_types.yaml, in whichever direction."""
    file, other = clean(YELLOW, 2000), tmp_path / "other.parquet"
    place.open().replace_month(YELLOW, file, FILL)
    kinds = [pa.float64(), pa.string()]
    if not isinstance(place.open(), BigQueryWarehouse):  # it has one whole number
        kinds += [pa.int16(), pa.int32()]
    for kind in kinds:
        with_column(file, "payment_type", pa.array([1, 2], pa.int64()).cast(kind), other)
        with pytest.raises(StorageError, match=r"(?i)holds payment_type as .*(ALTER|RENAME)"):
            place.open().replace_month(FEBRUARY, other, FILL)
    assert place.open().count(FEBRUARY) == 0


def test_a_file_that_is_no_parquet_changes_nothing(
    place: EmptyWarehouse, clean: Clean, tmp_path: Path
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


def table(place: EmptyWarehouse, columns: str = "LocationID, Zone, area") -> list[tuple[Any, ...]]:
    return place.query(f"SELECT {columns} FROM dezoomcamp.places ORDER BY LocationID")


def test_a_small_table_is_what_the_file_holds(
    place: EmptyWarehouse, small: Callable[..., Path]
) -> None:
    for _ in range(2):
        assert place.open().replace_table("places", small(3)) == 3
        assert table(place) == [(1, "N/A", 0.5), (2, "N/A", 0.5), (3, "N/A", None)]
    assert place.open().replace_table("places", small(1, "Zürich")) == 1
    assert table(place) == [(1, "Zürich", None)]


def test_a_small_table_of_other_columns(place: EmptyWarehouse, small: Callable[..., Path]) -> None:
    place.open().replace_table("places", small(2, remark=pa.array(["a", None])))
    assert table(place, "remark") == [("a",), (None,)]
    place.open().replace_table("places", small(2))
    with pytest.raises(Exception, match="remark"):
        table(place, "remark")
    place.open().replace_table("places", small(1, "b", area=pa.array(["wide"])))
    assert table(place) == [(1, "b", "wide")]


def test_a_small_table_joins_the_trips(
    place: EmptyWarehouse, clean: Clean, small: Callable[..., Path]
) -> None:
    place.open().replace_month(YELLOW, clean(YELLOW, 2000), FILL)
    place.open().replace_table("places", small(265))
    assert place.query(
        "SELECT count(*) FROM dezoomcamp.rides JOIN dezoomcamp.places ON PULocationID = LocationID"
    ) == [(2000,)]


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["rides", "yellow_rides", "loads", "Places", "a.b", "", "a b"])
def test_a_small_table_that_cannot_be_called_so(
    place: EmptyWarehouse, clean: Clean, small: Callable[..., Path], name: str
) -> None:
    with pytest.raises(InvalidInputError, match="a small table cannot be called"):
        place.open().replace_table(name, small(1))


@pytest.mark.few(1)
@pytest.mark.parametrize("share", [0.5, 0.2, 0.8])
def test_a_small_table_killed_half_way(
    place: EmptyWarehouse, small: Callable[..., Path], share: float
) -> None:
    """The old table or the new one, whenever it is; then a clean run makes the new one."""
    old, new = small(1000, "old"), small(20_000, "new" * 1000)
    place.open().replace_table("places", old)
    began = time.monotonic()
    place.open().replace_table("places", new)
    whole = time.monotonic() - began
    count = "SELECT count(*), min(substr(Zone, 1, 3)), max(substr(Zone, 1, 3)) "
    code = (
        "from pathlib import Path; from nyc_taxi.warehouses.registry import open_warehouse;"
        f"w = open_warehouse({place.address!r}); print('ready', flush=True);"
        f"w.replace_table('places', Path({str(new)!r}))"
    )
    place.open().replace_table("places", old)
    with start("-c", code) as run:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
        time.sleep(whole * share)
        run.kill()
    found = place.query(f"{count} FROM dezoomcamp.places")
    assert found in ([(1000, "old", "old")], [(20_000, "new", "new")])
    assert place.open().replace_table("places", new) == 20_000
    assert place.query(f"{count} FROM dezoomcamp.places") == [(20_000, "new", "new")]


def test_two_small_tables_at_once(place: EmptyWarehouse, small: Callable[..., Path]) -> None:
    file = small(100)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(place.open().replace_table, "places", file) for _ in range(3)]
    assert [run.result() for run in runs] == [100, 100, 100]
    assert place.query("SELECT count(*) FROM dezoomcamp.places") == [(100,)]


class TestDuckDB:
    """What only the DuckDB file can go through."""

    @pytest.fixture
    def place(self, request: pytest.FixtureRequest) -> EmptyWarehouse:
        return empty_duckdb(request)

    def test_types_of_the_table(self, place: EmptyWarehouse, clean: Clean) -> None:
        place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        kinds = {row[0]: row[1] for row in place.query("DESCRIBE dezoomcamp.yellow_rides")}
        assert kinds["trip_month"] == "DATE"
        assert kinds["passenger_count"] == kinds["PULocationID"] == "BIGINT"
        assert kinds["tpep_pickup_datetime"] == "TIMESTAMP"
        assert kinds["airport_fee"] == "DOUBLE"

    def test_a_file_that_another_program_holds(
        self, place: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = place.address.removeprefix("duckdb:")
        hold = f"import duckdb; db = duckdb.connect({path!r}); "
        hold += "print('held', flush=True); import time; time.sleep(60)"
        monkeypatch.setenv("NYC_TAXI_WAIT", "0.5")
        with start("-c", hold) as holder:
            assert holder.stdout
            holder.stdout.readline()
            with pytest.raises(LockTimeoutError, match="held by another program"):
                place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
            holder.kill()
        assert place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL) == 1000

    def test_a_table_that_is_not_ours_is_refused(
        self, place: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        with duckdb.connect(str(tmp_path / "contract.duckdb")) as db:
            db.execute("CREATE SCHEMA dezoomcamp; CREATE TABLE dezoomcamp.yellow_rides (a INT)")
        with pytest.raises(StorageError, match="no column trip_month"):
            place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)

    def test_a_file_that_is_no_warehouse(
        self, place: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        (tmp_path / "contract.duckdb").write_text("some notes of mine, longer than a header" * 500)
        with pytest.raises(StorageError, match="NYC_TAXI_WAREHOUSE"):
            place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)

    @pytest.mark.parametrize("state", ["a folder", "cut", "newer"])
    def test_a_check_says_what_is_wrong_with_the_file(
        self, state: str, place: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        path = tmp_path / "contract.duckdb"
        if state == "a folder":
            path.mkdir()
        else:
            place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
            content = bytearray(path.read_bytes())
            content[12:20] = (9999).to_bytes(8, "little")
            path.write_bytes(content if state == "newer" else content[:5000])
        with pytest.raises(StorageError, match="set NYC_TAXI_WAREHOUSE to") as problem:
            place.open().check()
        assert "\n" not in str(problem.value)

    def test_a_file_on_a_read_only_disk(self, disk: Path, clean: Clean) -> None:
        path = disk / "contract.duckdb"
        warehouse = open_warehouse(f"duckdb:{path}")
        warehouse.replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises((StorageError, LocalWriteError), match=str(path)) as problem:
            warehouse.check()
        assert "\n" not in str(problem.value)

    def test_every_thread_waits_for_the_same_turn(self, tmp_path: Path) -> None:
        """The file under two names, and its lock asked for by many threads at once."""
        path, link = tmp_path / "contract.duckdb", tmp_path / "link.duckdb"
        path.touch()
        link.symlink_to(path)
        path.unlink()
        inside: list[int] = []

        def work(n: int) -> int:
            with DuckDBWarehouse(link if n % 2 else path)._thread_lock(time.monotonic() + 30):
                inside.append(n)
                seen = len(inside)
                inside.remove(n)
            return seen

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(8) as pool:
                assert set(pool.map(work, range(400))) == {1}
        finally:
            sys.setswitchinterval(interval)

    def test_a_turn_that_does_not_come(
        self, place: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warehouse = place.open()
        assert isinstance(warehouse, DuckDBWarehouse)
        load = partial(place.open().replace_month, YELLOW, clean(YELLOW, 1000), FILL)
        with warehouse._thread_lock(time.monotonic() + 30), ThreadPoolExecutor(1) as pool:
            with stoppable() as stop:
                waits = pool.submit(copy_context().run, load)
                time.sleep(0.3)
                stop.set()
                assert isinstance(waits.exception(5), Stopped)
            monkeypatch.setenv("NYC_TAXI_WAIT", "0.3")
            with pytest.raises(LockTimeoutError, match="held by another program for 0 s; close it"):
                pool.submit(load).result()

    @pytest.mark.slow
    def test_a_large_month_in_little_memory(
        self, place: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        large = clean(YELLOW, 1_500_000)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "150MB")
        began = time.monotonic()
        assert place.open().replace_month(YELLOW, large, FILL) == 1_500_000
        assert time.monotonic() - began < 120

    def test_too_little_memory_is_explained(
        self, place: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "4MB")
        with pytest.raises(StorageError, match=r"NYC_TAXI_MEMORY=4MB .* higher") as problem:
            place.open().replace_month(YELLOW, clean(YELLOW, 300_000), FILL)
        assert "\n" not in str(problem.value)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "300MB")
        assert place.open().count(YELLOW) == 1000
