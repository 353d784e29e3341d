"""The flow `Ingest Data`: TLC site -> PostgreSQL table."""

from contextlib import closing

from nyc_taxi.cli import command  # noqa: F401

import psycopg2
import pytest

from ingest_data_flow import ingest_data
from synthetic_tlc import Site, write_month
from tests.support.processes import start


def run(*arguments: str) -> str:
    with start("flows/ingest_data_flow.py", *arguments) as script:
        output = script.communicate(timeout=120)[0]
    assert script.returncode == 0, output
    return output


def counts(url: str, table: str) -> list[tuple[int, int, int]]:
    """Return per month: trips, trips with 0 passengers, trips with an unknown count."""
    with closing(psycopg2.connect(url)) as db, db.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE passenger_count = 0), "
            f"count(*) FILTER (WHERE passenger_count IS NULL) FROM {table} "
            "GROUP BY trip_month ORDER BY trip_month"
        )
        return cursor.fetchall()


@pytest.fixture
def months(site: Site) -> None:
    for month in (1, 2):
        write_month(site.folder, "yellow", 2021, month, 20_000)


def test_ingest_data_is_idempotent(postgres: str, months: None) -> None:
    output = run("--months", "1,2")
    assert "Logging Subflow for: yellow_taxi_trips" in output
    assert "pre: trips with 0 passengers: 0" not in output
    assert output.count("post: trips with 0 passengers: 0") == 2
    first = counts(postgres, "public.yellow_taxi_trips")
    assert len(first) == 2
    for rows, zero, unknown in first:
        assert 18_000 < rows < 20_000
        assert zero == 0
        assert unknown > 0
    total = sum(rows for rows, *_ in first)
    assert f"total rows: {total}" in output
    assert ingest_data(months=[1, 2]) == total
    assert counts(postgres, "public.yellow_taxi_trips") == first


@pytest.mark.slow
def test_ingest_data_keeps_all_trips_in_a_named_table(postgres: str, months: None) -> None:
    output = run("--keep-zero", "--table-name", "course.trips")
    assert "total rows: 20000" in output
    [(rows, zero, _)] = counts(postgres, "course.trips")
    assert rows == 20_000
    assert zero > 0


@pytest.mark.slow
def test_ingest_data_reports_a_missing_database(prefect_server: None, months: None) -> None:
    with start("flows/ingest_data_flow.py", POSTGRES_URL="") as script:
        output = script.communicate(timeout=120)[0]
    assert script.returncode == 1
    [line] = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "neither a block postgres-connector nor a POSTGRES_URL; run `make postgres`" in line
