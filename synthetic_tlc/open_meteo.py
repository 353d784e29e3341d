"""Web server that behaves like Open-Meteo's air quality and archive APIs, with synthetic values.

It has the errors and limits of the real one; tests inject other faults, as into the TLC's site.
Source of the behavior: https://github.com/open-meteo/open-meteo.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from synthetic_tlc.open_meteo_values import Values, air_quality, hours_of, weather
from synthetic_tlc.site import Site, _Handler

JSON = {"Content-Type": "application/json; charset=utf-8"}
LIMIT = 600
"""Calls a minute of one client."""


class OpenMeteo(Site):
    """Serves both APIs inside a `with` block: `air_quality_url` and `weather_url`.

    `now` sets the clock (UTC): later hours of weather are null. `key` is the only valid API key.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        now: datetime | None = None,
        key: str = "",
        limit: float = LIMIT,
    ) -> None:
        super().__init__(Path(), port, host)
        self._now, self.key, self.limit = now, key, limit
        self.revision = 0.0
        """Added to all values but codes, as a later run of the models changes them."""
        self._calls: list[tuple[float, float]] = []

    @property
    def air_quality_url(self) -> str:
        return f"{self.url}/v1/air-quality"

    @property
    def weather_url(self) -> str:
        return f"{self.url}/v1/archive"

    def now(self) -> datetime:
        return self._now or datetime.now(UTC).replace(tzinfo=None)

    def count(self, calls: float) -> None:
        """Count calls. Raises _ErrorReply where the minute has had too many before."""
        since = time.monotonic() - 60
        with self._lock:
            self._calls = [one for one in self._calls if one[0] > since]
            if sum(weight for _, weight in self._calls) >= self.limit:
                raise _ErrorReply(
                    "Minutely API request limit exceeded. Please try again in one minute.", 429
                )
            self._calls.append((time.monotonic(), calls))


class _ErrorReply(Exception):
    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class _Api:
    """One endpoint: its variables with their units, its dates and its grid."""

    def __init__(
        self,
        values: Callable[[str, int], Mapping[str, Values]],
        units: Mapping[str, str],
        first: date,
        days_ahead: int,
        step: float,
    ) -> None:
        self.values, self.units, self.first = values, units, first
        self.days_ahead, self.step = days_ahead, step

    def answer(self, query: Mapping[str, str], server: OpenMeteo) -> list[dict[str, Any]]:
        today = server.now().date()
        last = today + timedelta(days=self.days_ahead)
        latitudes, longitudes = _floats(query, "latitude"), _floats(query, "longitude")
        if len(latitudes) != len(longitudes):
            raise _ErrorReply(
                "Parameter 'latitude' and 'longitude' must have the same number of elements"
            )
        names = [name for name in query.get("hourly", "").split(",") if name]
        for name in names:
            if name not in self.units:
                raise _ErrorReply(
                    "Data corrupted at path ''. Cannot initialize VariableOrDerived from invalid "
                    f"String value {name}."
                )
        days = [_day(query, name, self.first, last) for name in ("start_date", "end_date")]
        if days[1] < days[0]:
            raise _ErrorReply("End-date must be larger or equals than start-date")
        count = (days[1] - days[0]).days + 1
        server.count(len(latitudes) * max(1, len(names) / 10 * max(1, count / 14)))
        end = days[1] + timedelta(days=1)
        hours = np.arange(str(days[0]), str(end), dtype="datetime64[h]")
        known = hours[-1] if self.days_ahead else np.datetime64(server.now(), "h")
        places = enumerate(zip(latitudes, longitudes, strict=True))
        found = [self._location(index, place, names, hours, known) for index, place in places]
        if server.revision:
            for name in set(names) - {"weather_code"}:
                for one in found:
                    one["hourly"][name] = [
                        value if value is None else value + server.revision
                        for value in one["hourly"][name]
                    ]
        return found

    def _location(
        self, index: int, place: tuple[float, float], names: list[str], hours: Any, known: Any
    ) -> dict[str, Any]:
        cell = [round(round(degrees / self.step) * self.step, 4) for degrees in place]
        years = range(int(str(hours[0])[:4]), int(str(hours[-1])[:4]) + 1)
        seed = f"{cell[0]},{cell[1]}"
        start = int((hours[0] - hours_of(years[0])[0]).astype(int))
        hourly: dict[str, Any] = {"time": np.datetime_as_string(hours, unit="m").tolist()}
        for name in names:
            values = np.concatenate([self.values(seed, year)[name] for year in years])
            values = np.where(hours > known, np.nan, values[start : start + len(hours)])
            hourly[name] = [None if value != value else value for value in values.tolist()]
        return {
            "latitude": cell[0],
            "longitude": cell[1],
            "generationtime_ms": 0.25,
            "utc_offset_seconds": 0,
            "timezone": "GMT",
            "timezone_abbreviation": "GMT",
            "elevation": 10.0,
            **({"location_id": index} if index else {}),
            "hourly_units": {"time": "iso8601", **{name: self.units[name] for name in names}},
            "hourly": hourly,
        }


_POLLUTANTS = ("pm2_5", "pm10", "ozone", "nitrogen_dioxide", "sulphur_dioxide", "carbon_monoxide")
APIS = {
    "/v1/air-quality": _Api(
        air_quality,
        {
            **dict.fromkeys(_POLLUTANTS, "μg/m³"),
            **dict.fromkeys(["us_aqi", *(f"us_aqi_{name}" for name in _POLLUTANTS)], "USAQI"),
        },
        date(2013, 1, 1),
        days_ahead=6,
        step=0.25,
    ),
    "/v1/archive": _Api(
        weather,
        {
            "temperature_2m": "°C",
            "precipitation": "mm",
            "rain": "mm",
            "snowfall": "cm",
            "wind_speed_10m": "km/h",
            "weather_code": "wmo code",
        },
        date(1940, 1, 1),
        days_ahead=0,
        step=0.1,
    ),
}


def _floats(query: Mapping[str, str], name: str) -> list[float]:
    try:
        return [float(text) for text in query[name].split(",")]
    except (KeyError, ValueError):
        raise _ErrorReply(f"Value of type 'Float' required for key '{name}'.") from None


def _day(query: Mapping[str, str], name: str, first: date, last: date) -> date:
    try:
        day = date.fromisoformat(query[name])
    except (KeyError, ValueError):
        raise _ErrorReply("Both 'start_date' and 'end_date' must be set in the url") from None
    if not first <= day <= last:
        raise _ErrorReply(f"Parameter '{name}' is out of allowed range from {first} to {last}")
    return day


class _OpenMeteoHandler(_Handler):
    server_version = "openmeteo"

    def do_GET(self) -> None:
        url, site = urlsplit(self.path), self.server.site
        assert isinstance(site, OpenMeteo)
        if fault := site._fault("answer", url.path):
            self._respond(fault.status, fault.body, dict(fault.headers))
            return
        try:
            body, status = self._answer(url.path, url.query, site), 200
        except _ErrorReply as error:
            body, status = {"error": True, "reason": str(error)}, error.status
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        self._send(status, dict(JSON), io.BytesIO(text), len(text), url.path)

    do_HEAD = do_GET

    def _answer(self, path: str, query: str, site: OpenMeteo) -> Any:
        given = {name: values[0] for name, values in parse_qs(query).items()}
        if path not in APIS:
            raise _ErrorReply("Not Found", 404)
        if "apikey" in given and given["apikey"] != site.key:
            raise _ErrorReply("The supplied API key is invalid.")
        found = APIS[path].answer(given, site)
        return found if len(found) > 1 else found[0]


OpenMeteo.handler = _OpenMeteoHandler
