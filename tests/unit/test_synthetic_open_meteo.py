"""The stand-in for Open-Meteo: plausible, repeatable values, and the real one's limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nyc_taxi.errors import SourceRefusedError
from nyc_taxi.sources.open_meteo import fetch_hours
from nyc_taxi.sources.open_meteo_tables import AIR_QUALITY, WEATHER, HourlyTable
from synthetic_tlc.open_meteo import OpenMeteo

FIRST, LAST = date(2024, 5, 1), date(2024, 5, 2)


@pytest.fixture(scope="module")
def server() -> Iterator[OpenMeteo]:
    with OpenMeteo() as server:
        yield server


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", os.fspath(Path(__file__).parent))


def fetch(
    server: OpenMeteo, table: HourlyTable = WEATHER, first: date = FIRST, last: date = LAST
) -> pa.Table:
    url = server.weather_url if table is WEATHER else server.air_quality_url
    return fetch_hours(table, first, last, url, timeout=5)


def test_stand_in_gives_an_hour_the_same_values_in_every_request(server: OpenMeteo) -> None:
    whole = fetch(server, WEATHER, date(2023, 12, 30), date(2024, 1, 3)).drop_columns(
        ["fetched_at"]
    )
    part = fetch(server, WEATHER, date(2023, 12, 31), date(2024, 1, 1)).drop_columns(["fetched_at"])
    times = whole["time_utc"]
    inside = pc.and_(
        pc.greater_equal(times, datetime(2023, 12, 31)), pc.less(times, datetime(2024, 1, 2))
    )
    assert (
        whole.filter(inside)
        .sort_by([("location", "ascending"), ("time_utc", "ascending")])
        .equals(part.sort_by([("location", "ascending"), ("time_utc", "ascending")]))
    )


def test_stand_in_has_seasons_rain_and_snow(server: OpenMeteo) -> None:
    year = fetch(server, WEATHER, date(2023, 1, 1), date(2023, 12, 31))
    month = pc.month(year["time_utc"])
    january, july = (
        pc.mean(year["temperature_2m"].filter(pc.equal(month, number))).as_py() for number in (1, 7)
    )
    assert -5 < january < 8 and 18 < july < 30
    assert 0.04 < pc.mean(pc.greater(year["precipitation"], 0)).as_py() < 0.2
    assert pc.sum(year["snowfall"]).as_py() > 0
    water = pc.add(year["rain"], pc.divide(year["snowfall"], 0.7))
    assert pc.max(pc.abs(pc.subtract(water, year["precipitation"]))).as_py() < 0.02
    assert set(year["weather_code"].unique().to_pylist()) <= {0, 1, 2, 3, 61, 63, 65, 71, 73, 75}


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (date(2024, 5, 2), date(2024, 5, 1), "End-date must be larger"),
        (date(1939, 12, 31), date(2024, 5, 1), "'start_date' is out of allowed range from 1940"),
        (FIRST, date(2100, 1, 1), "'end_date' is out of allowed range from 1940-01-01 to 20"),
    ],
)
def test_stand_in_refuses_dates_as_open_meteo_does(
    server: OpenMeteo, first: date, last: date, message: str
) -> None:
    with pytest.raises(SourceRefusedError, match=message):
        fetch(server, WEATHER, first, last)


def test_stand_in_counts_calls_as_open_meteo_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month of six points and thirteen variables counts as 17 calls."""
    monkeypatch.setenv("NYC_TAXI_WAIT", "0")
    with OpenMeteo(limit=30) as server:
        for _ in range(2):
            fetch(server, AIR_QUALITY, date(2024, 5, 1), date(2024, 5, 31))
        with pytest.raises(SourceRefusedError, match="61 s"):
            fetch(server, AIR_QUALITY)
