"""The lakehouse's flows on a synthetic site: from the sources to gold, and again."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from lakehouse.backfill.chunks import Chunk, ChunkMode, chunks
from lakehouse.backfill.flow import backfill
from lakehouse.gold.flow import gold
from lakehouse.maintenance.flow import maintenance
from lakehouse.silver.flow import silver
from nyc_taxi.errors import PartialFailureError
from synthetic_tlc import OpenMeteo, Site, write_month, write_zones
from tests.support.lakehouses import name_destinations
from tests.support.processes import start
from tests.support.warehouses import WAREHOUSES

from .flow import full_pipeline

FIRST, LAST = date(2024, 1, 1), date(2024, 2, 29)


@pytest.fixture
def sources(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A site with two months of green trips and the zones, and Open-Meteo."""
    write_zones(site.folder.parent / "misc")
    for month in (1, 2):
        write_month(site.folder, "green", 2024, month, 2000)
    with OpenMeteo() as meteo:
        monkeypatch.setenv("NYC_TAXI_AIR_QUALITY_URL", meteo.air_quality_url)
        monkeypatch.setenv("NYC_TAXI_WEATHER_URL", meteo.weather_url)
        yield site


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def query(warehouse: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        return db.execute(sql).fetchall()


def artifact(key: str) -> str:
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter.model_validate({"key": {"any_": [key]}})
        (latest, *_) = client.read_artifacts(artifact_filter=wanted)
    return str(latest.data)


@pytest.mark.timeout(600)
def test_pipeline_brings_the_sources_to_gold_and_then_rests(
    prefect_server: None, sources: Site, warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full_pipeline(start_date=FIRST, end_date=LAST)
    days = query(
        warehouse,
        "SELECT service, sum(trips), count(pm2_5_mean) > 0, count(rain_mm) > 0"
        " FROM gold.trips_and_air_by_day GROUP BY service",
    )
    [(kept, rejected)] = query(
        warehouse,
        "SELECT (SELECT count(*) FROM silver.trips), (SELECT count(*) FROM silver.trips_rejected)",
    )
    assert kept + rejected == 4000
    assert days == [("green", kept, True, True)]
    rows = artifact("full-pipeline-metrics")
    assert [layer in rows for layer in ("bronze", "silver", "gold")] == [True, True, True]
    assert "gold.trips_and_air_by_day" in artifact("gold-nodes")
    capsys.readouterr()
    full_pipeline(plan=True)
    assert capsys.readouterr().out == "stale months: 0\n"
    assert silver().rows_out == 0
    assert gold().rows_out == 0
    assert gold("dims").rows_out > 265
    maintenance()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["postgres", "bigquery"])
def test_every_flow_runs_on_other_warehouses(
    prefect_server: None,
    sources: Site,
    kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = WAREHOUSES[kind](request)
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", place.address)
    name_destinations(monkeypatch)
    assert backfill(FIRST, date(2024, 1, 31)) == 1
    full_pipeline(start_date=FIRST, end_date=LAST)
    months = "SELECT trip_month, bronze_rows FROM gold.month_quality ORDER BY trip_month"
    assert place.query(months) == [(FIRST, 2000), (date(2024, 2, 1), 2000)]
    [(trips, with_air)] = place.query(
        "SELECT sum(trips), count(us_aqi_max) FROM gold.trips_and_air_by_day"
    )
    assert place.query("SELECT count(*) FROM silver.trips") == [(trips,)]
    assert with_air > 0
    assert silver().rows_out == 0
    assert gold("dims").rows_out > 265
    maintenance()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_backfill_resumes_and_names_what_failed(
    prefect_server: None, sources: Site, warehouse: Path
) -> None:
    file = sources.folder / "green_tripdata_2024-02.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:1000])
    with pytest.raises(PartialFailureError, match="1 of 2 chunks failed: 2024-02-01 to 2024-02-29"):
        backfill(FIRST, LAST)
    assert query(warehouse, "SELECT DISTINCT trip_month FROM gold.trips_by_hour") == [(FIRST,)]
    file.write_bytes(content)
    sources.requests.clear()
    assert backfill(FIRST, LAST) == 2
    assert not [request for request in sources.requests if "2024-01" in request.path]
    months = query(warehouse, "SELECT DISTINCT trip_month FROM gold.trips_by_hour ORDER BY 1")
    assert [month for (month,) in months] == [FIRST, date(2024, 2, 1)]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("monthly", ["2024-01-30 to 2024-01-31", "2024-02-01 to 2024-02-10"]),
        ("weekly", ["2024-01-30 to 2024-02-05", "2024-02-06 to 2024-02-10"]),
    ],
)
def test_chunks_cover_the_range(mode: ChunkMode, expected: list[str]) -> None:
    assert [str(chunk) for chunk in chunks(date(2024, 1, 30), date(2024, 2, 10), mode)] == expected


def test_chunk_knows_its_months() -> None:
    days = [*chunks(date(2024, 1, 31), date(2024, 2, 2), "daily")]
    assert [str(day) for day in days] == ["2024-01-31", "2024-02-01", "2024-02-02"]
    assert Chunk(date(2024, 1, 30), date(2024, 2, 5)).months == ["2024-01", "2024-02"]


@pytest.mark.slow
def test_nothing_stale_does_not_import_dbt(prefect_server: None, warehouse: Path) -> None:
    code = (
        "import sys; from lakehouse.silver.flow import silver; silver();"
        "from lakehouse.gold.flow import gold; gold();"
        "print([name for name in sys.modules if name.split('.')[0] == 'dbt'])"
    )
    with start("-c", code) as run:
        output = run.communicate()[0]
    assert output.rstrip().endswith("[]"), output
