"""Every kind of response of Open-Meteo that is refused, and those that are accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyc_taxi.sources.open_meteo import request_url
from nyc_taxi.sources.open_meteo_responses import UnusableResponseError, read_response
from nyc_taxi.sources.open_meteo_tables import AIR_QUALITY, POINTS, WEATHER, HourlyTable
from synthetic_tlc.open_meteo import APIS, OpenMeteo

REAL = Path(__file__).parents[3] / "shared" / "openmeteo"
FIRST, LAST = date(2024, 5, 1), date(2024, 5, 2)


@pytest.fixture(scope="module")
def response() -> Callable[[], list[dict[str, Any]]]:
    """Return a valid response to change: response()."""
    url = urlsplit(request_url(WEATHER, FIRST, LAST, "http://localhost/v1/archive"))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    text = json.dumps(APIS[url.path].answer(query, OpenMeteo()))
    return lambda: json.loads(text)


def spoil(change: Callable[[dict[str, Any]], object]) -> Callable[[list[dict[str, Any]]], object]:
    """Change the answer for the second point."""
    return lambda answers: change(answers[1])


def hourly(name: str, index: int, value: object) -> Callable[[list[dict[str, Any]]], object]:
    return spoil(lambda answer: answer["hourly"][name].__setitem__(index, value))


CHANGES: dict[str, tuple[Callable[[list[dict[str, Any]]], object], str]] = {
    "five points": (lambda answers: answers.pop(), "5 locations instead of 6"),
    "another place": (spoil(lambda a: a.update(latitude=52.3)), r"grid cell \[52.3, .* brooklyn"),
    "no place": (spoil(lambda a: a.pop("longitude")), "grid cell"),
    "wrong order": (
        lambda a: a.__setitem__(slice(2, 4), a[3:1:-1]),
        r"location_id 3\.0 for queens",
    ),
    "local time": (spoil(lambda a: a.update(utc_offset_seconds=-14400)), "not in UTC .*-14400"),
    "no hourly": (spoil(lambda a: a.pop("hourly")), "it has no hourly for brooklyn"),
    "no units": (spoil(lambda a: a.pop("hourly_units")), "it has no hourly_units"),
    "fahrenheit": (
        spoil(lambda a: a["hourly_units"].update(temperature_2m="°F")),
        "temperature_2m in '°F' instead of '°C' for brooklyn",
    ),
    "undefined unit with values": (
        spoil(lambda a: a["hourly_units"].update(rain="undefined")),
        "rain in 'undefined'",
    ),
    "missing hour": (
        spoil(lambda a: [values.pop(7) for values in a["hourly"].values()]),
        r"lacks hours \(2024-05-01T07:00\) for brooklyn",
    ),
    "missing hours": (
        spoil(lambda a: a["hourly"].update(time=a["hourly"]["time"][:-3])),
        r"lacks hours \(2024-05-02T21:00 and 2 more\)",
    ),
    "no hours": (spoil(lambda a: a["hourly"].pop("time")), "lacks hours .* and 47 more"),
    "hour twice": (
        spoil(lambda a: [values.insert(7, values[7]) for values in a["hourly"].values()]),
        r"repeats hours \(2024-05-01T07:00\)",
    ),
    "hour out of range": (
        spoil(lambda a: a["hourly"]["time"].append("2024-05-03T00:00")),
        r"not asked for \(2024-05-03T00:00\)",
    ),
    "unix time": (
        spoil(lambda a: a["hourly"].update(time=list(range(48)))),
        "lacks hours .* and 47 more",
    ),
    "hours in another order": (
        spoil(lambda a: a["hourly"]["time"].reverse()),
        "hours are not in order",
    ),
    "no variable": (spoil(lambda a: a["hourly"].pop("rain")), "no values of rain instead of 48"),
    "short variable": (spoil(lambda a: a["hourly"]["rain"].pop()), "47 values of rain"),
    "text": (hourly("rain", 3, "0.1"), "'0.1' as rain for brooklyn"),
    "long text": (hourly("rain", 3, "x" * 1000), "'xxxx.* as rain for brooklyn"),
    "flag": (hourly("rain", 3, True), "true or false as rain"),
    "list": (hourly("rain", 3, [1]), r"\[1\.0\] as rain"),
    "infinity": (hourly("rain", 3, 1e400), "inf as rain"),
    "huge": (hourly("weather_code", 3, 10**400), "inf as weather_code"),
    "fractional code": (hourly("weather_code", 3, 61.5), "61.5 as weather_code"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_unusable_content_is_refused(response: Callable[[], list[Any]], change: str) -> None:
    spoiled = response()
    CHANGES[change][0](spoiled)
    body = json.dumps(spoiled).replace("Infinity", "1e400").encode()
    with pytest.raises(UnusableResponseError, match=CHANGES[change][1]) as caught:
        read_response(body, WEATHER, FIRST, LAST)
    assert len(str(caught.value)) < 200


@given(
    keys=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    value=st.one_of(
        st.none(),
        st.booleans(),
        st.text(max_size=20),
        st.floats(),
        st.sampled_from([10**400, [], {}, [None], "2024-05-01T00:00"]),
    ),
    cut=st.integers(0, 200_000),
)
def test_any_value_anywhere_is_read_or_refused_in_one_line(
    response: Callable[[], list[Any]], keys: list[int], value: object, cut: int
) -> None:
    """A number of 400 digits, as a latitude or a unit, once ended in a traceback."""
    parent: Any = response()
    answers, name = parent, keys[0] % len(parent)
    for key in keys[1:]:
        child = parent[name]
        if not isinstance(child, dict | list) or not child:
            break
        parent = child
        name = [*child][key % len(child)] if isinstance(child, dict) else key % len(child)
    parent[name] = value
    body = json.dumps(answers).encode()[: cut or None]
    try:
        assert read_response(body, WEATHER, FIRST, LAST).num_rows == 288
    except UnusableResponseError as problem:
        assert "\n" not in str(problem) and len(str(problem)) < 300


def test_accepted_variations_of_a_response(response: Callable[[], list[Any]]) -> None:
    """Codes as 3.0, undefined units of absent variables, the micro sign, cells 0.25 degrees off."""
    answers = response()
    expected = read_response(json.dumps(answers).encode(), WEATHER, FIRST, LAST)
    for answer, (latitude, longitude) in zip(answers, POINTS.values(), strict=True):
        answer.update(latitude=latitude + 0.2499, longitude=longitude - 0.2499)
        answer.pop("location_id", None)
        answer["hourly"]["weather_code"] = [float(c) for c in answer["hourly"]["weather_code"]]
        answer["hourly"]["unknown"] = ["ignored"]
    found = read_response(json.dumps(answers).encode(), WEATHER, FIRST, LAST)
    assert found.equals(expected)
    for answer in answers:
        answer["hourly"]["rain"] = [None] * 48
        answer["hourly_units"]["rain"] = "undefined"
    found = read_response(json.dumps(answers).encode(), WEATHER, FIRST, LAST)
    assert found["rain"].null_count == found.num_rows == expected.num_rows


@pytest.mark.parametrize("name", ["air_quality.frenck", "open_meteo_air_quality.edge_ticker"])
def test_real_response_is_refused_for_its_place_only(name: str) -> None:
    """Real answers, for another place, time zone and list of variables."""
    path = REAL / f"{name}.json"
    if not path.is_file():
        pytest.skip("the real responses of Open-Meteo are not available next to the checkout")
    answer = json.loads(path.read_text())
    columns = tuple(c for c in AIR_QUALITY.columns if c.name in answer["hourly"])
    assert columns
    table = HourlyTable("air", "air", "", FIRST, "", columns)
    first = date.fromisoformat(answer["hourly"]["time"][0][:10])
    hours = len(answer["hourly"]["time"])
    last = first + timedelta(days=(hours - 1) // 24)
    with pytest.raises(UnusableResponseError, match="1 locations instead of 6"):
        read_response(json.dumps(answer).encode(), table, first, last)
    moved = [
        {**answer, "latitude": place[0], "longitude": place[1], "location_id": index}
        for index, place in enumerate(POINTS.values())
    ]
    with pytest.raises(UnusableResponseError, match=r"not in UTC \(offset -?\d+\.0 s\)"):
        read_response(json.dumps(moved).encode(), table, first, last)
    for one in moved:
        one["utc_offset_seconds"] = 0
        for values in one["hourly"].values():
            del values[hours // 24 * 24 or hours :]
    if hours < 24:
        with pytest.raises(UnusableResponseError, match="lacks hours"):
            read_response(json.dumps(moved).encode(), table, first, last)
        return
    found = read_response(json.dumps(moved).encode(), table, first, last)
    assert found.num_rows == hours * len(POINTS)
    assert found["pm2_5"].to_pylist()[:hours] == answer["hourly"]["pm2_5"]
