"""The complete flow against a synthetic site; tests/unit/test_zone_*.py test its conversion."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from nyc_taxi.errors import CorruptFileError, InvalidInputError, NotPublishedError
from synthetic_tlc import Site, write_zones
from tests.support.processes import ROOT, start

from .flow import zones

NO_SHAPE = {57, 104, 105, 264, 265}


def test_invalid_template_is_rejected(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", "https://host.invalid/{day}/{year}.parquet")
    with pytest.raises(InvalidInputError, match=r"is not a valid template; use \{color\}"):
        zones()


@pytest.fixture
def source(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    write_zones(site.folder / "misc")
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"{site.url}/trip-data")
    return site


def query_warehouse(tmp_path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        return db.execute(query).fetchall()


def test_flow_is_idempotent(prefect_server: None, source: Site, tmp_path: Path) -> None:
    assert zones() == zones() == 265
    lake = tmp_path / "lake" / "data" / "reference" / "zones.parquet"
    everything = "SELECT * FROM {} ORDER BY LocationID"
    table = query_warehouse(tmp_path, everything.format("dezoomcamp.zones"))
    assert table == query_warehouse(tmp_path, everything.format(f"'{lake}'"))
    assert [row[:4] for row in table[-2:]] == [
        (264, "Unknown", "N/A", "N/A"),
        (265, "N/A", "Outside of NYC", "N/A"),
    ]
    assert {row[0] for row in table if row[4:] == (None,) * 4} == NO_SHAPE
    kinds = query_warehouse(
        tmp_path, "SELECT column_name, column_type FROM (DESCRIBE dezoomcamp.zones)"
    )
    assert dict(kinds)["LocationID"] == "SMALLINT"
    assert dict(kinds)["area_km2"] == "DOUBLE"


def test_flow_loads_into_postgres(
    source: Site, postgres: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", "postgres:no-such-block")
    assert zones() == zones() == 265
    query = "SELECT * FROM {} ORDER BY LocationID"
    lake = tmp_path / "lake" / "data" / "reference" / "zones.parquet"
    with duckdb.connect() as db:
        expected = db.execute(query.format(f"'{lake}'")).fetchall()
    with closing(psycopg2.connect(postgres)) as link, link.cursor() as cursor:
        cursor.execute(query.format("dezoomcamp.zones"))
        assert cursor.fetchall() == expected
        cursor.execute("SELECT pg_typeof(locationid)::text FROM dezoomcamp.zones LIMIT 1")
        assert cursor.fetchall() == [("smallint",)]


@pytest.mark.slow
def test_missing_file_keeps_the_old_table(
    prefect_server: None, source: Site, tmp_path: Path
) -> None:
    assert zones() == 265
    (source.folder / "misc" / "taxi_zones.zip").unlink()
    with pytest.raises(NotPublishedError, match=r"misc/taxi_zones\.zip does not exist"):
        zones()
    (source.folder / "misc" / "taxi_zones.zip").write_bytes(b"<html>Access denied</html>")
    with pytest.raises(CorruptFileError, match="not a zip of zone shapes"):
        zones()
    assert query_warehouse(tmp_path, "SELECT count(geometry) FROM dezoomcamp.zones") == [(260,)]


@pytest.mark.slow
def test_transient_errors_are_retried(prefect_server: None, source: Site) -> None:
    source.answer(503, path="taxi_zones.zip")
    source.cut("taxi_zones.zip", after=100)
    assert zones() == 265


@pytest.mark.slow_on("file://")
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_flow_reads_a_local_folder(
    prefect_server: None, misc: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"{scheme}{misc.parent}/trip-data")
    assert zones() == 265
    (misc / "taxi_zones.zip").unlink()
    with pytest.raises(NotPublishedError, match=r"/.*misc/taxi_zones\.zip does not exist; check"):
        zones()


@pytest.mark.slow
def test_flow_runs_as_a_script_and_from_its_entrypoint(
    prefect_server: None, source: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start("-m", "reference.zones.flow") as run:
        output = run.communicate()[0]
    assert run.returncode == 0, output
    assert "zones: 265" in output.splitlines()
    monkeypatch.chdir(ROOT)
    entrypoint = "flows/reference/zones/flow.py:zones"
    loaded: Flow[[], int] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    assert loaded.name == "zones"
    assert loaded() == 265
