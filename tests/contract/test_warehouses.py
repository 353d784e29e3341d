"""Contract of every warehouse: a load replaces its month as a whole, or changes nothing."""

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
from nyc_taxi.warehouses.bigquery.warehouse import BigQueryWarehouse
from nyc_taxi.warehouses.duckdb.file import DuckDBFile
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.processes import start, wait_until_ready
from tests.support.warehouses import (
    LOAD_SCRIPT,
    WAREHOUSES,
    EmptyWarehouse,
    empty_duckdb,
    execute,
)

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)
FILL = {"passenger_count": 0}
Clean = Callable[..., Path]


@pytest.fixture(params=WAREHOUSES)
def target(request: pytest.FixtureRequest) -> EmptyWarehouse:
    return WAREHOUSES[request.param](request)


@pytest.fixture(scope="session")
def clean(
    month_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Return a conformed file of a month: clean(trips, rows)."""
    folder = tmp_path_factory.mktemp("clean")

    def make(trips: TripMonth, rows: int, seed: int = 0) -> Path:
        path = folder / f"{trips.stem}-{rows}-{seed}.parquet"
        if not path.exists():
            conform(trips, month_file(trips, rows, seed=seed)).write(path)
        return path

    return make


def sums(target: EmptyWarehouse, color: str = "yellow") -> list[tuple[Any, ...]]:
    """Return counts and sums per month, to compare the rows of a table."""
    return in_cents(
        target.query(
            "SELECT trip_month, count(*), sum(total_amount), sum(PULocationID), "
            f"count(passenger_count) FROM dezoomcamp.{color}_rides GROUP BY trip_month ORDER BY 1"
        )
    )


def in_cents(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Round sums of doubles: their last digits depend on the order of the rows."""
    return [(month, count, round(dollars, 2), *rest) for month, count, dollars, *rest in rows]


def test_load_stores_the_rows_of_the_file(target: EmptyWarehouse, clean: Clean) -> None:
    file = clean(YELLOW, 5000)
    assert target.open().count(YELLOW) == 0
    assert target.open().replace_month(YELLOW, file, {}) == 5000
    assert target.open().count(YELLOW) == 5000
    with duckdb.connect() as db:
        expected = db.execute(
            f"SELECT DATE '2021-01-01', count(*), sum(total_amount), sum(PULocationID), "
            f"count(passenger_count) FROM '{file}'"
        ).fetchall()
    assert sums(target) == in_cents(expected)


@pytest.mark.slow_on("bigquery")
def test_load_is_idempotent(target: EmptyWarehouse, clean: Clean) -> None:
    for _ in range(2):
        target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    first = sums(target)
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert sums(target) == first
    assert first[0][1] == 5000


def test_load_replaces_its_month_only(target: EmptyWarehouse, clean: Clean) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    target.open().replace_month(FEBRUARY, clean(FEBRUARY, 3000), FILL)
    february = sums(target)[1]
    target.open().replace_month(YELLOW, clean(YELLOW, 2000, seed=7), FILL)
    assert [row[1] for row in sums(target)] == [2000, 3000]
    assert sums(target)[1] == february


@pytest.mark.slow_on("bigquery")
def test_load_fills_nulls_only_on_request(target: EmptyWarehouse, clean: Clean) -> None:
    file = clean(YELLOW, 5000)
    known = pq.read_table(file, columns=["passenger_count"])["passenger_count"]
    assert known.null_count > 0
    target.open().replace_month(YELLOW, file, {})
    assert sums(target)[0][4] == 5000 - known.null_count
    target.open().replace_month(YELLOW, file, FILL)
    assert sums(target)[0][4] == 5000


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(1)
@pytest.mark.parametrize("order", [(2021, 2025), (2025, 2021)])
def test_load_adds_new_columns_and_keeps_old_ones(
    target: EmptyWarehouse, clean: Clean, order: tuple[int, int], month_file: Callable[..., Path]
) -> None:
    for year in order:
        trips = TripMonth("green", year, 1)
        target.open().replace_month(trips, clean(trips, 2000), FILL)
    later = TripMonth("green", 2026, 6)
    target.open().replace_month(later, clean(later, 2000), FILL)
    counts = target.query(
        "SELECT trip_month, count(*), count(cbd_congestion_fee), count(request_source) "
        "FROM dezoomcamp.green_rides GROUP BY trip_month ORDER BY 1"
    )
    assert [row[1] for row in counts] == [2000, 2000, 2000]
    assert [row[2] > 0 for row in counts] == [False, True, True]
    assert [row[3] > 0 for row in counts] == [False, False, True]


def test_view_rides_combines_yellow_and_green(target: EmptyWarehouse, clean: Clean) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    assert target.query("SELECT DISTINCT color FROM dezoomcamp.rides") == [("yellow",)]
    target.open().replace_month(GREEN, clean(GREEN, 2000), FILL)
    rides = target.query(
        "SELECT color, count(*), count(pickup_datetime), count(dropoff_datetime), "
        "count(passenger_count) FROM dezoomcamp.rides GROUP BY color ORDER BY color"
    )
    assert rides == [("green", 2000, 2000, 2000, 2000), ("yellow", 5000, 5000, 5000, 5000)]


@pytest.mark.slow_on("bigquery")
def test_load_accepts_an_empty_month(target: EmptyWarehouse, clean: Clean, tmp_path: Path) -> None:
    full, empty = clean(YELLOW, 2000), tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(full).slice(0, 0), empty)
    assert target.open().replace_month(YELLOW, empty, FILL) == 0
    assert target.open().count(YELLOW) == 0
    target.open().replace_month(YELLOW, full, FILL)
    assert target.open().replace_month(YELLOW, empty, FILL) == 0
    assert target.open().count(YELLOW) == 0


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(1)
@pytest.mark.parametrize("months", [(YELLOW, FEBRUARY), (YELLOW, YELLOW)])
def test_concurrent_loads_in_threads_succeed(
    target: EmptyWarehouse, clean: Clean, months: tuple[TripMonth, ...]
) -> None:
    """As in a flow run of several months."""
    with ThreadPoolExecutor(2) as pool:
        loads = [
            pool.submit(target.open().replace_month, trips, clean(trips, 5000), FILL)
            for trips in months
        ]
    assert [load.result() for load in loads] == [5000, 5000]
    assert [row[1] for row in sums(target)] == [5000] * len(set(months))


def load_code(target: EmptyWarehouse, trips: TripMonth, file: Path) -> str:
    return LOAD_SCRIPT.format(
        address=target.address, color=trips.color, year=trips.year, month=trips.month,
        file=file, fill=FILL,
    )  # fmt: skip


@pytest.mark.slow
def test_concurrent_loads_in_processes_succeed(target: EmptyWarehouse, clean: Clean) -> None:
    runs = [
        start("-c", load_code(target, trips, clean(trips, 50_000)))
        for trips in (YELLOW, FEBRUARY, YELLOW)
    ]
    for run in runs:
        output = run.communicate()[0]
        assert run.returncode == 0, output
    assert [row[1] for row in sums(target)] == [50_000, 50_000]


@pytest.mark.slow_on("bigquery")
@pytest.mark.few(1)
@pytest.mark.parametrize("share", [0.5, 0.2, 0.8])
def test_load_is_atomic_when_killed(target: EmptyWarehouse, clean: Clean, share: float) -> None:
    """Either the old or the new month remains; a rerun gives one clean copy."""
    old, new = clean(YELLOW, 5000), clean(YELLOW, 300_000)
    target.open().replace_month(YELLOW, old, FILL)
    began = time.monotonic()
    target.open().replace_month(YELLOW, new, FILL)
    whole = time.monotonic() - began
    expected = sums(target)
    target.open().replace_month(YELLOW, old, FILL)
    with start("-c", load_code(target, YELLOW, new)) as run:
        wait_until_ready(run)
        time.sleep(whole * share)
        run.kill()
    target.open().read_loads()  # with Spark, records a load that was killed after its commit
    [(rows, recorded)] = target.query(
        "SELECT count(*), (SELECT max(row_count) FROM dezoomcamp.loads) "
        "FROM dezoomcamp.yellow_rides"
    )
    assert rows == recorded
    assert rows in (5000, 300_000)
    target.open().replace_month(YELLOW, new, FILL)
    assert sums(target) == expected


@pytest.mark.few(1)
@pytest.mark.parametrize("share", [0.4, 0.1, 0.7])
def test_load_is_atomic_when_stopped(target: EmptyWarehouse, clean: Clean, share: float) -> None:
    """Stops within seconds, with the old or the new month in place and no lock left."""
    old, new = clean(YELLOW, 5000), clean(YELLOW, 300_000)
    began = time.monotonic()
    target.open().replace_month(YELLOW, new, FILL)
    whole = time.monotonic() - began
    target.open().replace_month(YELLOW, old, FILL)
    with stoppable() as stop, ThreadPoolExecutor(1) as pool:
        load = pool.submit(copy_context().run, target.open().replace_month, YELLOW, new, FILL)
        time.sleep(whole * share)
        stop.set()
        began = time.monotonic()
        stopped = isinstance(load.exception(), Stopped)
        assert stopped or load.result() == 300_000
        assert time.monotonic() - began < 10
    assert target.open().count(YELLOW) in ((5000, 300_000) if stopped else (300_000,))
    assert target.open().replace_month(YELLOW, old, FILL) == 5000


def with_column(file: Path, name: str, values: pa.Array, target: Path) -> Path:
    """Write the first trips of a month with a column added or replaced."""
    table = pq.read_table(file).slice(0, len(values))
    at = table.schema.get_field_index(name)
    if at >= 0:
        pq.write_table(table.set_column(at, name, values), target)
    else:
        pq.write_table(table.append_column(name, values), target)
    return target


def test_load_keeps_values_of_every_type(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
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
        assert target.open().replace_month(YELLOW, file, FILL) == 3
        stored = target.query(f"SELECT {', '.join(columns)} FROM dezoomcamp.yellow_rides")
        expected = zip(*(values for _, values in columns.values()), strict=True)
        assert sorted(map(repr, stored)) == sorted(map(repr, expected))
    assert target.open().replace_table("typed", file) == 3
    assert target.query("SELECT sum(a_price) FROM dezoomcamp.typed") == [
        (Decimal("123456789012345.677"),)
    ]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "kind",
    [pa.uint64(), pa.binary(), pa.time64("us"), pa.list_(pa.int64()), pa.struct({"a": pa.int64()})],
    ids=str,
)
def test_load_rejects_unsupported_types(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path, kind: pa.DataType
) -> None:
    file = with_column(clean(YELLOW, 2000), "odd", pa.array([None], kind), tmp_path / "odd.parquet")
    for load in (
        partial(target.open().replace_month, YELLOW, file, FILL),
        partial(target.open().replace_table, "odd", file),
    ):
        with pytest.raises(StorageError, match="odd as "):
            load()
    assert target.open().count(YELLOW) == 0


@pytest.mark.slow_on("bigquery")
def test_load_rejects_integers_too_large_for_a_double_column(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    """Integers may be loaded into a DOUBLE column only if none loses a digit."""
    file, odd = clean(YELLOW, 2000), tmp_path / "odd.parquet"
    with_column(file, "an extra", pa.array([0.5, None]), odd)
    target.open().replace_month(YELLOW, odd, FILL)
    exact = [2**53, -(2**53), None]
    with_column(file, "an extra", pa.array(exact, pa.int64()), odd)
    assert target.open().replace_month(FEBRUARY, odd, FILL) == 3
    with_column(file, "an extra", pa.array([2**53 + 1, 1], pa.int64()), odd)
    with pytest.raises(StorageError, match="an extra"):
        target.open().replace_month(FEBRUARY, odd, FILL)
    assert target.open().count(FEBRUARY) == 3


@pytest.mark.slow_on("bigquery")
def test_load_rejects_a_changed_type_of_a_declared_column(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    """As after a change of config/column_types.yaml."""
    file, other = clean(YELLOW, 2000), tmp_path / "other.parquet"
    target.open().replace_month(YELLOW, file, FILL)
    kinds = [pa.float64(), pa.string()]
    if not isinstance(target.open(), BigQueryWarehouse):  # BigQuery has one integer type
        kinds += [pa.int16(), pa.int32()]
    for kind in kinds:
        with_column(file, "payment_type", pa.array([1, 2], pa.int64()).cast(kind), other)
        with pytest.raises(
            StorageError, match=r"(?i)column payment_type is .+ in the file; .*(ALTER|RENAME)"
        ):
            target.open().replace_month(FEBRUARY, other, FILL)
    assert target.open().count(FEBRUARY) == 0


@pytest.mark.slow_on("bigquery")
def test_load_of_a_file_that_is_not_parquet_changes_nothing(
    target: EmptyWarehouse, clean: Clean, tmp_path: Path
) -> None:
    target.open().replace_month(YELLOW, clean(YELLOW, 5000), FILL)
    page = tmp_path / "page.parquet"
    page.write_text("<html>")
    with pytest.raises(Exception, match=r"page\.parquet"):
        target.open().replace_month(YELLOW, page, FILL)
    assert target.open().count(YELLOW) == 5000


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


class TestDuckDB:
    """Behavior specific to DuckDB files."""

    @pytest.fixture
    def target(self, request: pytest.FixtureRequest) -> EmptyWarehouse:
        return empty_duckdb(request)

    def test_load_creates_columns_with_the_declared_types(
        self, target: EmptyWarehouse, clean: Clean
    ) -> None:
        target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        kinds = {row[0]: row[1] for row in target.query("DESCRIBE dezoomcamp.yellow_rides")}
        assert kinds["trip_month"] == "DATE"
        assert kinds["passenger_count"] == kinds["PULocationID"] == "BIGINT"
        assert kinds["tpep_pickup_datetime"] == "TIMESTAMP"
        assert kinds["airport_fee"] == "DOUBLE"

    def test_load_times_out_on_a_file_locked_by_another_program(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = target.address.removeprefix("duckdb:")
        hold = f"import duckdb; db = duckdb.connect({path!r}); "
        hold += "print('held', flush=True); import time; time.sleep(60)"
        monkeypatch.setenv("NYC_TAXI_WAIT", "0.5")
        with start("-c", hold) as holder:
            assert holder.stdout
            holder.stdout.readline()
            with pytest.raises(LockTimeoutError, match=rf"locked by .* \(PID {holder.pid}\) for"):
                target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
            holder.kill()
        assert target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL) == 1000

    def test_load_rejects_a_table_without_trip_month(
        self, target: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        with duckdb.connect(str(tmp_path / "contract.duckdb")) as db:
            db.execute("CREATE SCHEMA dezoomcamp; CREATE TABLE dezoomcamp.yellow_rides (a INT)")
        with pytest.raises(StorageError, match="no column trip_month"):
            target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)

    def test_load_rejects_a_file_that_is_not_duckdb(
        self, target: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        (tmp_path / "contract.duckdb").write_text("some notes, longer than a header" * 500)
        with pytest.raises(StorageError, match="NYC_TAXI_WAREHOUSE"):
            target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)

    @pytest.mark.parametrize("state", ["a folder", "cut", "newer"])
    def test_check_reports_an_unusable_file(
        self, state: str, target: EmptyWarehouse, clean: Clean, tmp_path: Path
    ) -> None:
        path = tmp_path / "contract.duckdb"
        if state == "a folder":
            path.mkdir()
        else:
            target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
            content = bytearray(path.read_bytes())
            content[12:20] = (9999).to_bytes(8, "little")
            path.write_bytes(content if state == "newer" else content[:5000])
        with pytest.raises(StorageError, match="set NYC_TAXI_WAREHOUSE to") as problem:
            target.open().check()
        assert "\n" not in str(problem.value)

    def test_check_fails_on_a_read_only_disk(self, disk: Path, clean: Clean) -> None:
        path = disk / "contract.duckdb"
        warehouse = open_warehouse(f"duckdb:{path}")
        warehouse.replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises((StorageError, LocalWriteError), match=str(path)) as problem:
            warehouse.check()
        assert "\n" not in str(problem.value)

    def test_threads_share_one_lock_per_file(self, tmp_path: Path) -> None:
        """Eight threads lock one file through two paths, one of them a symbolic link."""
        path, link = tmp_path / "contract.duckdb", tmp_path / "link.duckdb"
        path.touch()
        link.symlink_to(path)
        path.unlink()
        inside: list[int] = []

        def work(n: int) -> int:
            with DuckDBFile(link if n % 2 else path).thread_lock(time.monotonic() + 30):
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

    def test_load_stops_or_times_out_while_another_thread_has_the_file(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warehouse = target.open()
        assert isinstance(warehouse, DuckDBWarehouse)
        load = partial(target.open().replace_month, YELLOW, clean(YELLOW, 1000), FILL)
        with warehouse.file.thread_lock(time.monotonic() + 30), ThreadPoolExecutor(1) as pool:
            with stoppable() as stop:
                waits = pool.submit(copy_context().run, load)
                time.sleep(0.3)
                stop.set()
                assert isinstance(waits.exception(5), Stopped)
            monkeypatch.setenv("NYC_TAXI_WAIT", "0.3")
            with pytest.raises(
                LockTimeoutError, match="locked by another program for 0 s; close that program"
            ):
                pool.submit(load).result()

    @pytest.mark.slow
    def test_load_of_a_large_month_works_with_little_memory(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        large = clean(YELLOW, 1_500_000)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "150MB")
        began = time.monotonic()
        assert target.open().replace_month(YELLOW, large, FILL) == 1_500_000
        assert time.monotonic() - began < 120

    def test_load_with_too_little_memory_reports_the_setting(
        self, target: EmptyWarehouse, clean: Clean, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target.open().replace_month(YELLOW, clean(YELLOW, 1000), FILL)
        large = clean(YELLOW, 300_000)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "4MB")
        with pytest.raises(StorageError, match=r"NYC_TAXI_MEMORY=4MB; .* raise it") as problem:
            target.open().replace_month(YELLOW, large, FILL)
        assert "\n" not in str(problem.value)
        monkeypatch.setenv("NYC_TAXI_MEMORY", "300MB")
        assert target.open().count(YELLOW) == 1000
