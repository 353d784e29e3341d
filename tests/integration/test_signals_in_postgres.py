"""Signals during a load into PostgreSQL: no lock, session or part of a month remains."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from synthetic_tlc import Site
from tests.support.interrupts import MONTHS, SECONDS, Script, unfinished
from tests.support.processes import until

OTHER_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.mark.slow
def test_signal_ends_a_wait_for_a_postgres_lock(
    published_months: None, site: Site, postgres: str, run_script: Callable[..., Script]
) -> None:
    """No lock and no waiting session remain."""
    with closing(psycopg2.connect(postgres)) as link, link.cursor() as cursor:
        link.autocommit = True
        script = run_script("ingest_data_flow.py")
        assert script.process.wait(90) == 0, script.output()
        cursor.execute("BEGIN; LOCK TABLE yellow_taxi_trips IN ACCESS SHARE MODE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

        def waits() -> bool:
            with closing(psycopg2.connect(postgres)) as other, other.cursor() as probe:
                probe.execute(waiting)
                return bool((probe.fetchone() or (0,))[0])

        script = run_script("ingest_data_flow.py")
        assert script.reaches(waits), script.output()
        script.interrupt(signal.SIGINT)
        cursor.execute("COMMIT")
        cursor.execute("SELECT count(*) FROM yellow_taxi_trips")
        assert (cursor.fetchone() or ())[0] > 0

        def is_alone() -> bool:
            cursor.execute(OTHER_SESSIONS)
            return cursor.fetchone() == (0,)

        assert until(is_alone, SECONDS)


@pytest.mark.slow
def test_signal_during_copy_rolls_back(
    site: Site, postgres: str, tmp_path: Path, month_file: Callable[..., Path],
    run_script: Callable[..., Script],
) -> None:  # fmt: skip
    """The month is not loaded, no lock remains, and the next run loads it."""
    trips = MONTHS[0]
    (site.folder / f"{trips.stem}.parquet").hardlink_to(month_file(trips, 2_000_000))

    with closing(psycopg2.connect(postgres)) as link, link.cursor() as cursor:
        link.autocommit = True

        def found(sql: str) -> Any:
            cursor.execute(sql)
            return (cursor.fetchone() or (None,))[0]

        script = run_script("ingest_data_flow.py")
        copied = "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy"
        assert script.reaches(lambda: found(copied) > 10_000), script.output()
        script.interrupt(signal.SIGTERM)
        assert until(lambda: found(OTHER_SESSIONS) == 0, SECONDS)
        assert found("SELECT count(*) FROM pg_class WHERE relname LIKE 'yellow_taxi_trips%'") == 0
        assert unfinished(tmp_path) == []
        script = run_script("ingest_data_flow.py")
        assert script.process.wait(90) == 0, script.output()
        assert found("SELECT count(*) FROM yellow_taxi_trips") > 1_900_000  # with passengers
