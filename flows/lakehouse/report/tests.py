"""The flow on invented gold tables: its numbers, and the page that it leaves."""

from __future__ import annotations

import base64
import gzip
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.report import page
from nyc_taxi.report.payload import make_payload
from nyc_taxi.report.queries import read_gold, read_stale
from nyc_taxi.report.shapes import grid_shapes
from nyc_taxi.transform.targets.registry import open_target
from synthetic_tlc.gold import write_gold
from tests.support.processes import start

from .flow import report

MONTHS = [
    (service, date(2024, month, 1))
    for month, services in ((1, ("yellow", "green", "fhv", "fhvhv")), (3, ("green",)))
    for service in services
]
SQUARE = "POLYGON ((-74 {0}, -73.9 {0}, -73.9 {1}, -74 {1}, -74 {0}))"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """The warehouse of the settings, with five months in gold."""
    path = tmp_path / "warehouse.duckdb"
    write_gold(path, MONTHS, None, scale=0.001)
    return path


def numbers(warehouse: Path) -> dict[str, Any]:
    target = open_target(f"duckdb:{warehouse}")
    return make_payload(read_gold(target), read_stale(target))


def unpack(text: str, *shape: int) -> Any:
    planes = np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<i4").reshape(shape)


def query(warehouse: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        return db.execute(sql).fetchall()


def test_cubes_add_up_to_the_months(warehouse: Path) -> None:
    found = numbers(warehouse)
    trips = [row[3] for row in found["months"]]
    dollars = [row[5] or 0 for row in found["months"]]
    assert [row[:2] for row in found["months"]] == [
        *(["yellow", "2024-01"], ["green", "2024-01"], ["green", "2024-03"]),
        *(["fhv", "2024-01"], ["fhvhv", "2024-01"]),
    ]
    for name, width in (("week", 168), ("days", 32), ("zone", 266)):
        cube = unpack(found[name], 2, 5, width)
        assert cube[0].sum(axis=1).tolist() == trips, name
        assert cube[1].sum(axis=1) == pytest.approx(dollars), name
    payments = unpack(found["payments"], 3, 5, 9)
    assert payments[0].sum(axis=1).tolist() == trips
    zone_week = unpack(found["zone_week"], 4, 266, 168)
    of_services = unpack(found["zone"], 2, 5, 266)[0, [0, 1, 3, 4]]
    of_services[1] += unpack(found["zone"], 2, 5, 266)[0, 2]  # green has two months
    assert zone_week.sum(axis=2).tolist() == of_services.tolist()


def test_cube_has_each_number_in_its_place(warehouse: Path) -> None:
    found = numbers(warehouse)
    week = unpack(found["week"], 2, 5, 168)
    [(monday_at_eight,)] = query(
        warehouse,
        "SELECT sum(trips) FROM gold.trips_by_hour WHERE service = 'green' AND trip_month ="
        " DATE '2024-03-01' AND isodow(pickup_date) = 1 AND hour(pickup_hour) = 8",
    )
    assert week[0, 2, 8] == monday_at_eight
    route = unpack(found["route"], 2, len(found["route_parts"]), len(found["routes"]))
    pickup, dropoff = found["routes"][0]
    [(trips,)] = query(
        warehouse,
        "SELECT sum(trips) FROM gold.trips_by_route WHERE service = 'green'"
        f" AND pickup_zone_id = {pickup} AND dropoff_zone_id = {dropoff}",
    )
    assert route[0, found["route_parts"].index(("green", 2024)), 0] == trips


def test_pickup_outside_the_month_has_its_own_place(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute(
            "INSERT INTO gold.trips_by_hour (service, trip_month, pickup_date, pickup_hour, trips,"
            " total_amount) VALUES ('green', '2024-03-01', '2024-04-01', '2024-04-01 01:00', 7, 9)"
        )
    days = unpack(numbers(warehouse)["days"], 2, 5, 32)
    assert days[:, 2, 0].tolist() == [7, 9]


def test_incomplete_days_of_air_do_not_count(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute(
            "UPDATE gold.trips_and_air_by_day SET weather_hours = 20, air_hours = NULL,"
            " us_aqi_max = NULL WHERE pickup_date = DATE '2024-01-02'"
        )
    found = numbers(warehouse)
    assert found["air_start"] == "2024-01-01"
    assert found["air"][1] == [None, None, None]
    assert None not in found["air"][0]
    assert len(found["air"]) == 31 + 29 + 31
    assert found["air"][31:60] == [[None, None, None]] * 29  # February is not loaded


def test_number_that_json_does_not_have_is_unknown(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute("ALTER TABLE gold.month_quality ALTER total_amount TYPE DOUBLE")
        db.execute("UPDATE gold.month_quality SET total_amount = 'NaN' WHERE service = 'yellow'")
        db.execute(
            "UPDATE gold.trips_and_air_by_day SET pm2_5_mean = 'NaN', us_aqi_max = 'Infinity'"
            " WHERE pickup_date = DATE '2024-01-02'"
        )
    found = numbers(warehouse)
    assert found["air"][1][1:] == [None, None]
    assert found["months"][0][5] is None


def test_shapes_keep_common_borders_on_whole_numbers() -> None:
    shapes = grid_shapes([(1, SQUARE.format(40, 41)), (2, SQUARE.format(41, 42)), (3, None)])
    north, south = shapes[2][0][0], shapes[1][0][0]
    assert sorted(shapes) == [1, 2]
    assert {x for x, _ in north} == {0, 1000}
    assert max(y for _, y in north) == min(y for _, y in south)
    assert grid_shapes([(1, None), (2, "POINT (1 2)"), (3, "no shape")]) == {}


@pytest.mark.slow
def test_flow_writes_the_page_and_links_it(
    prefect_server: None, warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(report())
    first = path.read_bytes()
    assert capsys.readouterr().out == f"report: {path}\n"
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter.model_validate({"key": {"any_": ["report"]}})
        (latest, *_) = client.read_artifacts(artifact_filter=wanted)
    assert path.as_uri() in str(latest.data)
    payload = re.search(rb'<script type="application/json" id="payload">(.*?)</script>', first)
    assert payload
    assert len(json.loads(payload[1])["months"]) == 5
    assert b"modelled, not measured" in first
    assert not re.search(rb'(src|href)="?(?!data:|https://(open-meteo|creative))', first[-9000:])
    report()
    assert path.read_bytes() == first


def test_flow_without_gold_leaves_a_page_that_helps(prefect_server: None) -> None:
    text = Path(report()).read_text("utf-8")
    assert "python -m lakehouse.full_pipeline.flow" in text
    assert "<script" not in text


def test_page_is_whole_when_its_writer_is_killed(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    labels = ["duckdb:one", "duckdb:two"]
    code = (
        "from pathlib import Path; from nyc_taxi.report.page import write_page;"
        f"target = Path({str(target)!r})\n"
        f"while True:\n for label in {labels}: print(write_page(None, label, target))"
    )
    with start("-u", "-c", code) as run:
        assert run.stdout
        for _ in range(20):
            assert run.stdout.readline() == f"{target}\n"
        run.kill()
    assert target.read_text("utf-8") in [page.render_page(None, label) for label in labels]
    page.write_page(None, labels[0], target)
    assert target.read_text("utf-8") == page.render_page(None, labels[0])


def test_link_to_the_page_is_followed(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    link = tmp_path / "report.html"
    link.symlink_to(tmp_path / "web" / "index.html")
    assert page.write_page(None, "duckdb:one", link) == link
    assert link.is_symlink()
    assert (tmp_path / "web" / "index.html").read_text("utf-8").startswith("<!doctype html>")


def test_names_are_escaped(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute("UPDATE gold.dim_zone SET zone = '</script><b>' || chr(8238), borough = '<i>'")
    text = page.render_page(numbers(warehouse), "duckdb:<u>")
    assert "\u202e" not in text
    assert "\\u202e" not in text
    assert not re.search("<b> |<i>[^<]|<u>|</script><b>", text.split("window.vegaEmbed")[0])


def test_month_of_one_table_only_is_one_line(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute("DELETE FROM gold.month_quality WHERE service = 'green'")
    with pytest.raises(StorageError, match=r"green 2024-01 is not in all tables; .*gold.flow"):
        numbers(warehouse)


def test_gold_of_an_older_version_is_one_line(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute("DROP TABLE gold.trips_by_zone_hour")
    with pytest.raises(StorageError, match=r"trips_by_zone_hour .*build it again: python -m"):
        numbers(warehouse)


def test_zones_without_shapes_are_no_map(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute("CREATE TABLE dezoomcamp.zones AS SELECT 1 AS LocationID, 'EWR' AS Zone")
    assert numbers(warehouse)["shapes"] == []


def test_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "EXTRA", {"json": "json", "no_such_module": "vl-convert-python"})
    with pytest.raises(InvalidInputError, match=r"needs vl-convert-python; .*\[report\]"):
        page.check_extra()
