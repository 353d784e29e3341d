"""Contract of publish: months are replaced as a whole, or nothing changes."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.bronze import load_trips
from tests.support.built_lakehouses import (
    FEBRUARY,
    JANUARY,
    MONTHS,
    ROWS,
)
from tests.support.dbt_runs import PROJECT
from tests.support.lakehouses import (
    Lakehouse,
)
from tests.support.processes import start


@pytest.mark.slow
def test_a_month_without_rejected_rows_keeps_none_of_the_old(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    where = f"WHERE service = 'fhv' AND trip_month = DATE '{JANUARY}'"
    assert lakehouse.query(f"SELECT count(*) > 0 FROM silver.trips_rejected {where}") == [(True,)]
    lakehouse.execute(
        "DELETE FROM dezoomcamp.fhv_rides WHERE dropOff_datetime < pickup_datetime OR "
        f"year(pickup_datetime) <> 2021 AND trip_month = DATE '{JANUARY}'"
    )
    before = lakehouse.rows("gold.trips_by_payment")
    lakehouse.dbt.build_and_publish(months=[JANUARY])
    assert lakehouse.query(f"SELECT count(*) FROM silver.trips_rejected {where}") == [(0,)]
    assert lakehouse.query(
        f"SELECT sum(matching_rows) FROM gold.rejections {where} AND action = 'reject'"
    ) == [(0,)]
    assert lakehouse.rows("gold.trips_by_payment") == before


@pytest.mark.slow
def test_publish_adds_and_drops_columns(lakehouse: Lakehouse) -> None:
    """The live table is of an older shape: it has another column, lacks one, and one is text."""
    expected = lakehouse.state()
    lakehouse.execute(
        "ALTER TABLE gold.trips_by_hour ADD COLUMN old_column BIGINT;"
        "ALTER TABLE gold.trips_by_hour DROP COLUMN voids;"
        "ALTER TABLE gold.trips_by_hour ALTER COLUMN passengers TYPE VARCHAR"
    )
    months = sorted({str(trips.first_day) for trips in MONTHS})
    lakehouse.dbt.build_and_publish(months=months)
    assert "old_column" not in lakehouse.columns("gold.trips_by_hour")
    found = sorted(
        lakehouse.query(f"SELECT {', '.join(_names(expected, lakehouse))} FROM gold.trips_by_hour"),
        key=repr,
    )
    assert found == expected["gold.trips_by_hour"]


def _names(expected: Any, lakehouse: Lakehouse) -> list[str]:
    names = list(lakehouse.columns("gold.trips_by_hour"))
    names.remove("voids")
    names.insert(names.index("trips") + 1, "voids")
    return names


PUBLISH = """
from dbt.cli.main import dbtRunner

def listen(event):
    if event.info.name == "SQLQuery" and "delete from" in event.data.sql:
        print("publishing", flush=True)

variables = "{months: ['2021-01-01', '2021-02-01']}"
dbtRunner(callbacks=[listen]).invoke(
    ["--quiet", "run-operation", "publish", "--vars", variables]
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_publish_is_atomic_when_killed(
    kind: str, share: float, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every table then has the state before or the state after; a rerun completes it."""
    lakehouse: Lakehouse = request.getfixturevalue("lakehouse" if kind == "duckdb" else "elephant")
    before = lakehouse.state()
    lakehouse.execute("DELETE FROM dezoomcamp.green_rides WHERE VendorID = 1")
    try:
        lakehouse.dbt.build(months=[JANUARY, FEBRUARY])
        began = time.monotonic()
        _kill_publish(lakehouse, None)
        whole = time.monotonic() - began
        after = lakehouse.state()
        assert after != before
        lakehouse.execute("DELETE FROM dezoomcamp.green_rides WHERE VendorID = 2")
        lakehouse.dbt.build(months=[JANUARY, FEBRUARY])
        _kill_publish(lakehouse, min(whole, 1.0) * share)
        found = lakehouse.state()
        lakehouse.dbt.build_and_publish(months=[JANUARY, FEBRUARY])
        assert found in (after, lakehouse.state())
        assert lakehouse.state() != after
    finally:
        if kind == "postgres":
            _restore_green(lakehouse, request, tmp_path)


def _restore_green(lakehouse: Lakehouse, request: pytest.FixtureRequest, folder: Path) -> None:
    month_file = request.getfixturevalue("month_file")
    for trips in MONTHS:
        if trips.color == "green":
            load_trips(lakehouse.warehouse, trips, month_file(trips, ROWS), folder)
    lakehouse.dbt.build_and_publish()


def _kill_publish(lakehouse: Lakehouse, after: float | None) -> None:
    """Run publish in another process; kill it that many seconds after its transaction began."""
    with start("-c", PUBLISH, cwd=PROJECT, **lakehouse.dbt.environment) as run:
        assert run.stdout
        assert run.stdout.readline() == "publishing\n"
        if after is None:
            assert run.wait() == 0
            return
        time.sleep(after)
        run.kill()
