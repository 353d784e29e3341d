"""Contract of every warehouse: silver and gold are built aside and published as a whole."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from pathlib import Path

import psycopg2
import pytest
from prefect_sqlalchemy import SqlAlchemyConnector

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.errors import LockTimeoutError, StorageError, TransformError
from nyc_taxi.settings import settings
from nyc_taxi.transform import build
from nyc_taxi.transform.dbt import Dbt
from nyc_taxi.transform.project import definition
from nyc_taxi.transform.targets.postgres import PostgresTarget
from nyc_taxi.transform.targets.registry import open_target
from nyc_taxi.warehouses.postgres.addresses import components
from nyc_taxi.warehouses.postgres.connection import Database
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse
from tests.support.builds import FEBRUARY, JANUARY, PROJECT, SmallLakehouse
from tests.support.processes import ROOT, start
from tests.support.warehouses import WAREHOUSES

[ROLE_FOR_ANALYSTS] = re.findall(
    r"```sql\n(CREATE ROLE.*?)```", (ROOT / "docs" / "analysts.md").read_text(), re.DOTALL
)
FIRST = [("2021-01-01", 3, 1, 3), ("2021-02-01", 2, 0, 2)]
"""What is published of the months that `lakehouse` has loaded."""


@pytest.fixture(params=["duckdb", "postgres", "spark"])
def lakehouse(request: pytest.FixtureRequest) -> SmallLakehouse:
    """Two months in bronze; nothing is built."""
    lakehouse = SmallLakehouse(WAREHOUSES[request.param](request))
    lakehouse.load(JANUARY, [1, 2, 3, -1], "first")
    lakehouse.load(FEBRUARY, [1, 2], "first")
    return lakehouse


@pytest.mark.slow_on("duckdb")
def test_build_publishes_the_stale_months_and_no_others(lakehouse: SmallLakehouse) -> None:
    assert lakehouse.stale() == [
        "2021-01: yellow_rides never built",
        "2021-02: yellow_rides never built",
    ]
    lakehouse.build()
    assert lakehouse.published() == FIRST
    assert lakehouse.stale() == []
    lakehouse.load(FEBRUARY, [7], "second")
    assert lakehouse.stale() == ["2021-02: yellow_rides loaded again"]
    lakehouse.nodes.clear()
    lakehouse.build()
    assert lakehouse.published() == [FIRST[0], ("2021-02-01", 1, 0, 1)]
    assert {node.kind for node in lakehouse.nodes} == {"model", "test"}
    assert {node.status for node in lakehouse.nodes} == {"success", "pass"}
    assert lakehouse.unpublished() == []


@pytest.mark.slow
@pytest.mark.parametrize("lakehouse", ["duckdb", "postgres"], indirect=True)
def test_first_publish_renames_the_tables_that_were_tested(lakehouse: SmallLakehouse) -> None:
    """Their rows are written once."""
    stale = build.find_stale_months(lakehouse.dbt, "incremental")
    build.build_silver(lakehouse.dbt, stale, lakehouse._report)
    tested = lakehouse.storage("silver.trips_next")
    lakehouse.build_gold()
    assert lakehouse.storage("silver.trips") == tested
    assert lakehouse.published() == FIRST


@pytest.mark.slow
@pytest.mark.parametrize("lakehouse", ["postgres"], indirect=True)
def test_published_tables_keep_privileges_and_views(
    lakehouse: SmallLakehouse, project: Path
) -> None:
    """The role of docs/analysts.md reads new tables too, by the default privileges."""
    (project / "models" / "silver" / "added.sql").write_text("select 1 as id")
    target, execute = lakehouse.dbt.target, lakehouse.dbt.target.execute
    readable = "SELECT table_name FROM information_schema.table_privileges WHERE grantee = %s"
    execute(ROLE_FOR_ANALYSTS)
    try:
        lakehouse.build()
        execute("CREATE VIEW public.fares AS SELECT sum(fare) AS fares FROM silver.trips")
        lakehouse.load(FEBRUARY, [7], "second")
        lakehouse.dbt = Dbt(target, project)
        lakehouse.build("full")
        found = {name for (name,) in lakehouse.query(readable % "'analyst'")}
        assert {"trips", "trips_rejected", "trips_by_month", "dim_service", "added"} <= found
        assert lakehouse.query("SELECT fares FROM public.fares") == [(13.0,)]
    finally:
        execute("DROP VIEW IF EXISTS public.fares", "DROP OWNED BY analyst", "DROP ROLE analyst")


@pytest.mark.slow
@pytest.mark.parametrize("lakehouse", ["postgres"], indirect=True)
def test_readers_see_whole_states_during_a_publish_and_a_kill(lakehouse: SmallLakehouse) -> None:
    lakehouse.build()
    lakehouse.load(FEBRUARY, [*range(1, 20_000)], "second")
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            found = lakehouse.published()
            seen.extend([found] if found not in seen else [])

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            with start("-c", lakehouse.script()) as run:
                assert run.stdout
                assert "publish\n" in iter(run.stdout.readline, "")
                time.sleep(0.05)
                run.kill()
            if lakehouse.stale():
                lakehouse.build()
        finally:
            stop.set()
        reader.result()
    assert seen == [FIRST, [FIRST[0], ("2021-02-01", 19_999, 0, 19_999)]]


@pytest.mark.slow
@pytest.mark.parametrize("lakehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("change", "locked"),
    [("", "silver.trips_next"), ("ALTER TABLE silver.trips DROP COLUMN fare", "silver.trips")],
    ids=["dump", "new column"],
)
def test_publish_waits_for_a_reader_at_most_nyc_taxi_wait(
    lakehouse: SmallLakehouse,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    locked: str,
) -> None:
    """It waited forever, and all loads behind it."""
    lakehouse.build()
    lakehouse.load(FEBRUARY, [7], "second")
    lakehouse.dbt.target.execute(*([change] if change else []))
    stale = build.find_stale_months(lakehouse.dbt, "incremental")
    build.build_silver(lakehouse.dbt, stale, lakehouse._report)
    with closing(psycopg2.connect(postgres)) as reader, reader.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {locked}")
        monkeypatch.setenv("NYC_TAXI_WAIT", "0.5")
        with pytest.raises(TransformError, match=r"^publish: other sessions have locked .* 0\.5 s"):
            lakehouse.build_gold()
        monkeypatch.setenv("NYC_TAXI_WAIT", "30")
        release = threading.Timer(3, reader.rollback)
        release.start()
        lakehouse.build_gold()
        release.join()
    assert lakehouse.published()[1] == ("2021-02-01", 1, 0, 1)


@pytest.mark.slow
def test_failed_test_is_named_and_leaves_the_published_tables(lakehouse: SmallLakehouse) -> None:
    lakehouse.build()
    lakehouse.load(FEBRUARY, [2_000_000], "second")
    with pytest.raises(TransformError, match=r"1 of 5 .* failed: test cheap_fares: Got 1 result"):
        lakehouse.build()
    assert lakehouse.published() == FIRST
    assert build.read_staged(lakehouse.dbt).months == ()
    lakehouse.load(FEBRUARY, [2], "third")
    lakehouse.build()
    assert lakehouse.published() == [FIRST[0], ("2021-02-01", 1, 0, 1)]


@pytest.mark.slow
def test_failed_model_is_named_in_one_line(lakehouse: SmallLakehouse) -> None:
    lakehouse.build()
    lakehouse.dbt.target.execute("ALTER TABLE dezoomcamp.yellow_rides RENAME COLUMN fare TO price")
    with pytest.raises(TransformError, match=r"model silver.trips: .*fare") as raised:
        lakehouse.build("full")
    assert "\n" not in str(raised.value)
    assert lakehouse.published() == FIRST


@pytest.mark.slow
def test_silver_waits_for_gold(lakehouse: SmallLakehouse) -> None:
    """A run that was stopped in between is not done again."""
    stale = build.find_stale_months(lakehouse.dbt, "incremental")
    build.build_silver(lakehouse.dbt, stale, lakehouse._report)
    lakehouse.nodes.clear()
    build.build_silver(lakehouse.dbt, stale, lakehouse._report)
    assert lakehouse.nodes == []
    lakehouse.load(FEBRUARY, [1], "second")
    build.build_silver(lakehouse.dbt, stale, lakehouse._report)
    assert lakehouse.nodes
    lakehouse.build_gold()
    assert lakehouse.published() == [FIRST[0], ("2021-02-01", 1, 0, 1)]


@pytest.mark.slow
def test_month_that_is_loaded_during_a_build_waits_for_the_next(lakehouse: SmallLakehouse) -> None:
    """The tables of the others are new, so they are renamed; the month is not in them."""
    build.build_silver(
        lakehouse.dbt, build.find_stale_months(lakehouse.dbt, "incremental"), lakehouse._report
    )
    lakehouse.load(FEBRUARY, [1], "second")
    assert build.read_staged(lakehouse.dbt).months == (JANUARY,)
    lakehouse.build_gold()
    assert lakehouse.published() == FIRST[:1]
    assert lakehouse.stale() == ["2021-02: yellow_rides never built"]
    lakehouse.build()
    assert lakehouse.published() == [FIRST[0], ("2021-02-01", 1, 0, 1)]


@pytest.mark.slow
def test_leftovers_of_a_removed_model_are_dropped(lakehouse: SmallLakehouse, project: Path) -> None:
    """A table of someone else, with a name like theirs, stays."""
    (project / "models" / "silver" / "removed.sql").write_text("select 1 as id")
    before = Dbt(lakehouse.dbt.target, project)
    stale = build.find_stale_months(before, "incremental")
    build.build_silver(before, stale, lakehouse._report)
    lakehouse.dbt.target.execute("CREATE TABLE silver.mine_next AS SELECT 1 AS id")
    assert {"removed_next", "trips_next"} <= {*lakehouse.unpublished()}
    build.drop_built_aside(lakehouse.dbt)
    assert lakehouse.unpublished() == ["mine_next"]
    lakehouse.build()
    assert lakehouse.published() == FIRST
    assert lakehouse.dbt.target.warehouse.read_rows(build.ASIDE, ["name"]) == []


@pytest.mark.slow_on("postgres")
def test_failed_publish_says_why(lakehouse: SmallLakehouse) -> None:
    with pytest.raises(TransformError, match=r"^publish: .*_next does not exist; run dbt build"):
        lakehouse.dbt.publish(["silver"], [JANUARY])


def test_password_is_in_no_file() -> None:
    url = "postgresql://someone:a-secret@127.0.0.1:1/nowhere"
    database = Database(SqlAlchemyConnector(connection_info=components(url)), "the test")
    Dbt(PostgresTarget(PostgresWarehouse(database)), PROJECT).parse()
    written = [path for path in settings().data_dir.rglob("*") if path.is_file()]
    assert [path for path in written if b"nowhere" in path.read_bytes()]
    assert not [path for path in written if b"a-secret" in path.read_bytes()]


POINTS = ["publish", "locked", "silver.trips", "not_null_trips_trip_month", "gold.dim_service"]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_build_is_completed_by_the_next(lakehouse: SmallLakehouse, point: str) -> None:
    lakehouse.build()
    lakehouse.load(FEBRUARY, [*range(1, 20_000)], "second")
    with start("-c", lakehouse.script()) as run:
        assert run.stdout
        seen = []
        while (line := run.stdout.readline().strip()) and line != point:
            seen.append(line)
        assert line == point, seen
        time.sleep(0.01)
        run.kill()
    old, new = FIRST, [FIRST[0], ("2021-02-01", 19_999, 0, 19_999)]
    if not lakehouse.address.startswith("spark"):  # which publishes table by table
        assert lakehouse.published() in (old, new)
    lakehouse.build()
    assert lakehouse.published() == new
    assert lakehouse.unpublished() == []
    assert lakehouse.stale() == []


def test_second_build_waits_for_the_first(
    lakehouse: SmallLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lakehouse.dbt.target.lock():
        monkeypatch.setenv("NYC_TAXI_WAIT", "0.3")
        with pytest.raises(LockTimeoutError), open_target(lakehouse.address).lock():
            pass
        monkeypatch.setenv("NYC_TAXI_WAIT", "30")
        waiting = threading.Thread(target=_hold, args=(lakehouse.address,))
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()


def test_failed_transaction_during_a_build_is_rolled_back(tmp_path: Path) -> None:
    """The file stays open for the whole build, so closing it does not roll back."""
    target = open_target(f"duckdb:{tmp_path / 'warehouse.duckdb'}")
    with target.lock():
        with pytest.raises(StorageError, match="nothing"):
            target.execute("CREATE TABLE half (n INTEGER)", "SELECT * FROM nothing")
        target.execute("CREATE TABLE whole (n INTEGER)")
        assert target.query("SELECT table_name FROM duckdb_tables()") == [("whole",)]


def _hold(address: str) -> None:
    with open_target(address).lock():
        pass


@pytest.mark.slow
def test_builds_of_two_processes_both_succeed(lakehouse: SmallLakehouse) -> None:
    with start("-c", lakehouse.script()) as one, start("-c", lakehouse.script()) as other:
        for run in (one, other):
            output = run.communicate()[0]
            assert run.returncode == 0, output
    assert lakehouse.published() == FIRST


@pytest.mark.slow
def test_stop_cancels_the_running_model(lakehouse: SmallLakehouse, slow_project: Path) -> None:
    lakehouse.build()
    lakehouse.load(FEBRUARY, [1], "second")
    slow = SmallLakehouse.__new__(SmallLakehouse)
    slow.__dict__.update(lakehouse.__dict__)
    slow.dbt = type(lakehouse.dbt)(lakehouse.dbt.target, slow_project)
    with stoppable() as stop, ThreadPoolExecutor(1) as pool:
        run = pool.submit(copy_context().run, slow.build)
        time.sleep(2)
        stop.set()
        began = time.monotonic()
        assert isinstance(run.exception(), Stopped)
        assert time.monotonic() - began < 10
    assert lakehouse.published() == FIRST
    lakehouse.build()
    assert lakehouse.published() == [FIRST[0], ("2021-02-01", 1, 0, 1)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the small project, to change."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder)
    config = folder / "dbt_project.yml"
    config.write_text(config.read_text().replace("../../..", str(ROOT)))
    return folder


@pytest.fixture
def slow_project(project: Path) -> Path:
    """The small project with a model that takes minutes."""
    (project / "models" / "silver" / "trips.sql").write_text(
        "select date '2021-02-01' as trip_month, cast(1 as real) as fare"
        " from ({{ numbers(1, 2000000) }}) as a, ({{ numbers(1, 2000000) }}) as b"
        " having sum(a.n * b.n) > 0"
    )
    return project


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda folder: (folder / "models/silver/trips.sql").write_text("select 1"), False),
        (lambda folder: (folder / "macros/more.sql").write_text("{# #}"), False),
        (lambda folder: (folder / "models/gold/dims/dim_service.sql").unlink(), False),
        (lambda folder: (folder / "models/silver/silver.yml").write_text("version: 2"), True),
    ],
    ids=["model", "macro", "model removed", "description"],
)
def test_definition_covers_what_decides_the_rows(
    tmp_path: Path, change: Change, same: bool
) -> None:
    shutil.copytree(PROJECT, tmp_path / "project")
    (tmp_path / "project" / "macros").mkdir()
    before = definition(tmp_path / "project")
    change(tmp_path / "project")
    assert (definition(tmp_path / "project") == before) is same
