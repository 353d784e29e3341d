"""Runs that build silver and gold: by load-new-months, cancelled from the API, killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from itertools import islice
from pathlib import Path

import duckdb
import pytest
from prefect.states import Cancelling

from load_new_months import load_new_months
from nyc_taxi.errors import LockTimeoutError
from nyc_taxi.sources.published import months_back
from nyc_taxi.transform.targets.registry import open_target
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.bronze import load_trips
from tests.support.prefect_systems import System
from tests.support.processes import start
from tests.support.warehouses import WAREHOUSES
from tests.support.workers import worker

pytestmark = pytest.mark.slow

ROWS = 2_000_000
"""Enough for dbt to work for some seconds."""
HOLD = """
import time
from nyc_taxi.transform.targets import lease
lease.SECONDS = 6
from nyc_taxi.transform.targets.registry import open_target
with open_target({address!r}).lock():
    print("locked", flush=True)
    time.sleep(600)
"""


def test_load_new_months_builds_what_it_loaded(
    prefect_server: None, site: Site, month_file: Callable[..., Path], tmp_path: Path
) -> None:
    today = date.today()
    *_, newest = islice(months_back("green", today.year, today.month), 3)
    (site.folder / f"{newest.stem}.parquet").hardlink_to(month_file(newest, 2000))
    assert load_new_months("green", back=1, build=True) == 2000
    assert load_new_months("green", back=1, build=True) == 0
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as db:
        built = db.execute("SELECT trip_month, bronze_rows FROM gold.month_quality").fetchall()
    assert built == [(newest.first_day, 2000)]


@pytest.mark.timeout(300)
def test_cancellation_during_dbt_publishes_nothing(
    bare_system: System, month_file: Callable[..., Path], tmp_path: Path
) -> None:
    """The run ends as Cancelled, and the next build need not wait."""
    path = tmp_path / "warehouse.duckdb"
    target = open_target(f"duckdb:{path}")
    trips = TripMonth("yellow", 2021, 1)
    load_trips(target.warehouse, trips, month_file(trips, ROWS), tmp_path)
    env = bare_system.env | {"NYC_TAXI_WAREHOUSE": f"duckdb:{path}"}
    with worker("process-pool", env, tmp_path) as log, bare_system.client as client:
        run = bare_system.start("flows/lakehouse/silver/flow.py:silver", "process-pool")
        while "model silver.month_builds: success" not in log.read_text():
            time.sleep(0.05)
        client.set_flow_run_state(run.id, Cancelling())
        assert bare_system.wait_until_final(run.id).state_name == "Cancelled", log.read_text()
        assert "model silver.trips_rejected: success" not in log.read_text()
    with target.lock():
        found = target.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'silver'")
    assert not [name for (name,) in found if not name.endswith(("_next", "_tmp"))]


def test_lock_of_a_killed_build_on_bigquery_expires(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = WAREHOUSES["bigquery"](request).address
    with start("-c", HOLD.format(address=address)) as run:
        assert run.stdout
        assert run.stdout.readline() == "locked\n"
        monkeypatch.setenv("NYC_TAXI_WAIT", "8")
        with pytest.raises(LockTimeoutError), open_target(address).lock():
            pass  # the owner has renewed it
        run.kill()
        run.wait()
    monkeypatch.setenv("NYC_TAXI_WAIT", "60")
    with open_target(address).lock():
        pass
