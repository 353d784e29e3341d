"""Synthetic weather and air quality: the same values for an hour, whatever the request.

Seasons, days, spells of rain and snow, rush hours, and air that rain cleans. As from Open-Meteo,
air quality comes in three-hourly steps interpolated to hours, an index needs the hours before it,
and some values are null.
"""

from __future__ import annotations

from functools import cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

HOURS_MISSING = ("2024-07-15T00", "2024-11-03T06")
"""Hours without weather, such as Open-Meteo has had them (open-meteo/open-meteo issue 914)."""
FIRST_AIR = np.datetime64("2022-08-01T00", "h")
"""First hour with air quality for New York."""
# Concentrations (PM in µg/m³, ozone, NO2 and SO2 in ppb, CO in ppm) at each step of the index; see
# "United States Air Quality Index" on https://open-meteo.com/en/docs/air-quality-api
AQI_STEPS = (0, 50, 100, 150, 200, 300, 400, 500)
BREAKPOINTS = {
    "pm2_5": (0, 12, 35.5, 55.5, 150.5, 250.5, 350.5, 500.5),
    "pm10": (0, 55, 155, 255, 355, 425, 505, 605),
    "ozone": (0, 55, 70, 85, 105, 200, 405, 605),
    "nitrogen_dioxide": (0, 54, 100, 360, 650, 1250, 1650, 2050),
    "sulphur_dioxide": (0, 35, 75, 185, 305, 605, 805, 1005),
    "carbon_monoxide": (0, 4.5, 9.5, 12.5, 15.5, 30.5, 40.5, 50.5),
}
INDEX_HOURS = {
    "pm2_5": 24,
    "pm10": 24,
    "ozone": 8,
    "nitrogen_dioxide": 1,
    "sulphur_dioxide": 1,
    "carbon_monoxide": 8,
}
"""Hours of the mean that an index is of."""
PER_PART = {"ozone": 1.96, "nitrogen_dioxide": 1.88, "sulphur_dioxide": 2.62}
"""µg/m³ of one ppb."""
AVERAGES = {
    "pm2_5": 8.0,
    "pm10": 14.0,
    "ozone": 60.0,
    "nitrogen_dioxide": 22.0,
    "sulphur_dioxide": 3.0,
    "carbon_monoxide": 250.0,
}


@cache
def weather(place: str, year: int) -> dict[str, Values]:
    """Return the weather of every hour of a year (UTC)."""
    day, hour = _clock(year)
    season = -np.cos(2 * np.pi * (day - 20) / 365)
    afternoon = -np.cos(2 * np.pi * (hour - 9) / 24)  # 21 UTC is the warmest
    temperature = 12.5 + 12 * season + 4 * afternoon + 5 * _noise("temperature", place, year, 72)
    wet = np.clip(_noise("wet", place, year, 9) - 1.2, 0, None)
    water = np.round(3 * wet**1.2, 1)
    snow = temperature < 1
    wind = np.clip(12 + 2 * afternoon + 6 * _noise("wind", place, year, 18), 0, None)
    clouds = np.clip(np.round(1.5 + 1.5 * _noise("clouds", place, year, 12)), 0, 3)
    levels = np.digitize(water, (0.1, 1.0, 4.0))  # 0: dry; 1 to 3: slight to heavy
    values = {
        "temperature_2m": np.round(temperature, 1),
        "precipitation": water,
        "rain": np.where(snow, 0, water),
        "snowfall": np.round(np.where(snow, 0.7 * water, 0), 2),
        "wind_speed_10m": np.round(wind, 1),
        "weather_code": np.where(levels, np.where(snow, 69, 59) + 2 * levels, clouds),
    }
    missing = np.isin(hours_of(year), np.array(HOURS_MISSING, "datetime64[h]"))
    return {name: np.where(missing, np.nan, found) for name, found in values.items()}


@cache
def air_quality(place: str, year: int) -> dict[str, Values]:
    """Return the air quality of every hour of a year (UTC)."""
    known = hours_of(year) >= FIRST_AIR
    raw = {name: np.where(known, _concentration(name, place, year), np.nan) for name in AVERAGES}
    values = {name: np.round(found, 1) for name, found in raw.items()}
    indexes = {f"us_aqi_{name}": _index(name, found) for name, found in raw.items()}
    return {**values, "us_aqi": np.max(list(indexes.values()), axis=0), **indexes}


def hours_of(year: int) -> NDArray[np.datetime64]:
    return np.arange(f"{year}-01-01T00", f"{year + 1}-01-01T00", dtype="datetime64[h]")


def _clock(year: int) -> tuple[Values, Values]:
    """Return the day of the year (from 0, with a fraction) and the hour, of every hour."""
    count = np.arange(len(hours_of(year)), dtype=np.float64)
    return count / 24, count % 24


def _concentration(name: str, place: str, year: int) -> Values:
    day, hour = _clock(year)
    summer = -np.cos(2 * np.pi * (day - 20) / 365)
    rush = np.exp(-(((hour - 13) % 24) ** 2) / 8) + np.exp(-(((hour - 22) % 24) ** 2) / 8)
    sun = np.clip(-np.cos(2 * np.pi * (hour - 7) / 24), 0, None)  # highest at 19 UTC
    rhythm = 1 + 0.5 * sun + 0.3 * summer if name == "ozone" else 1 + 0.5 * rush - 0.2 * summer
    cleaned = np.exp(-weather(place, year)["precipitation"] / 3)
    noise = np.exp(0.4 * _noise(name, place, year, 36))
    hourly = AVERAGES[name] * rhythm * noise * (0.5 + 0.5 * np.nan_to_num(cleaned, nan=1.0))
    steps = np.arange(0, len(hourly), 3)
    return np.interp(np.arange(len(hourly)), steps, hourly[steps])


def _index(name: str, values: Values) -> Values:
    """Return the US AQI: of the mean of the hours before, null where one is missing."""
    hours = INDEX_HOURS[name]
    padded = np.concatenate([np.full(hours - 1, values[0]), values])
    mean = np.convolve(padded, np.full(hours, 1 / hours), "valid")
    parts = mean / 1150 if name == "carbon_monoxide" else mean / PER_PART.get(name, 1)
    return np.round(np.interp(parts, BREAKPOINTS[name], AQI_STEPS)) + 0 * parts


def _noise(name: str, place: str, year: int, hours: int) -> Values:
    """Return smooth noise of mean 0 and deviation 1; places have most of it in common."""
    total = np.zeros(len(hours_of(year)))
    for share, seed in ((0.95, name), (0.3, name + place)):
        generator = np.random.default_rng([year, crc32(seed.encode())])
        rough = generator.normal(size=len(total) + hours)
        smooth = np.convolve(rough, np.full(hours, hours**-0.5), "valid")
        total += share * smooth[: len(total)]
    return total
