"""Contract of every warehouse: loads that run at once, are killed or are stopped."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.trips.months import TripMonth
from tests.support.month_loads import FILL, Clean, sums
from tests.support.processes import start, wait_until_ready
from tests.support.warehouses import LOAD_SCRIPT, EmptyWarehouse

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)


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
