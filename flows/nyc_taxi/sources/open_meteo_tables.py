"""The two hourly tables from Open-Meteo: their columns, units and points.

Sources: https://open-meteo.com/en/docs/air-quality-api and
https://open-meteo.com/en/docs/historical-weather-api. The data is licensed under CC BY 4.0
(https://open-meteo.com/en/terms).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from nyc_taxi.trips.table_comments import Comments

POINTS: Mapping[str, tuple[float, float]] = {
    "manhattan": (40.7831, -73.9712),
    "brooklyn": (40.6501, -73.9496),
    "queens": (40.7282, -73.7949),
    "bronx": (40.8448, -73.8648),
    "staten_island": (40.5795, -74.1502),
    "newark_airport": (40.6895, -74.1745),
}
"""Latitude and longitude (degrees, WGS 84): a point inside each borough, and Newark airport."""
SETTLED = timedelta(days=7)
"""Age at which hours are no longer revised: ERA5 arrives five days late, CAMS runs twice a day."""
LICENSE = "Source: https://open-meteo.com (CC BY 4.0)."


@dataclass(frozen=True)
class HourlyColumn:
    name: str
    unit: str
    """As in `hourly_units` of a response."""
    description: str
    type: Literal["DOUBLE", "BIGINT"] = "DOUBLE"

    @property
    def comment(self) -> str:
        return f"{self.description.removesuffix('.')} ({_UNIT_NAMES.get(self.unit, self.unit)})."


@dataclass(frozen=True)
class HourlyTable:
    """One row per point and hour. A value is null where the model has none."""

    name: str
    """In the dataset of the warehouse."""
    folder: str
    """In the lake, and the name in logs."""
    setting: str
    """Environment variable of the URL."""
    first: date
    """First day with values for New York."""
    description: str
    columns: tuple[HourlyColumn, ...]

    @property
    def comments(self) -> Comments:
        return Comments(
            f"{self.description} One row per location and hour. {LICENSE}",
            {**KEY_COMMENTS, **{column.name: column.comment for column in self.columns}},
        )


KEY_COMMENTS: Mapping[str, str] = {
    "location": "Borough, or newark_airport: the point whose grid cell the values are of.",
    "time_utc": "Start of the hour (UTC).",
    "load_id": "Load that wrote the row; see the table loads.",
    "fetched_at": "When Open-Meteo sent the values (UTC).",
}
_UNIT_NAMES = {"μg/m³": "micrograms per cubic meter", "USAQI": "US air quality index"}


def _pollutant(name: str, text: str) -> HourlyColumn:
    return HourlyColumn(name, "μg/m³", f"{text}, 10 m above ground; modelled, not measured.")


def _index(name: str, text: str) -> HourlyColumn:
    return HourlyColumn(name, "USAQI", f"{text}; modelled, not measured.")


AIR_QUALITY = HourlyTable(
    name="air_quality_hourly",
    folder="air_quality",
    setting="NYC_TAXI_AIR_QUALITY_URL",
    first=date(2022, 8, 1),
    description=(
        "Air quality, modelled, not measured: CAMS global forecasts (0.25 degrees, three-hourly "
        "steps interpolated to hours, revised twice a day)."
    ),
    columns=(
        _pollutant("pm2_5", "Particulate matter smaller than 2.5 µm"),
        _pollutant("pm10", "Particulate matter smaller than 10 µm"),
        _pollutant("ozone", "Ozone"),
        _pollutant("nitrogen_dioxide", "Nitrogen dioxide"),
        _pollutant("sulphur_dioxide", "Sulfur dioxide"),
        _pollutant("carbon_monoxide", "Carbon monoxide"),
        _index("us_aqi", "Highest of the six indexes below"),
        _index("us_aqi_pm2_5", "Index of PM2.5, from the mean of 24 hours"),
        _index("us_aqi_pm10", "Index of PM10, from the mean of 24 hours"),
        _index("us_aqi_ozone", "Index of ozone, from the hour and the mean of 8 hours"),
        _index("us_aqi_nitrogen_dioxide", "Index of nitrogen dioxide, from the hour"),
        _index("us_aqi_sulphur_dioxide", "Index of sulfur dioxide, from the hour and 24 hours"),
        _index("us_aqi_carbon_monoxide", "Index of carbon monoxide, from the mean of 8 hours"),
    ),
)
WEATHER = HourlyTable(
    name="weather_hourly",
    folder="weather",
    setting="NYC_TAXI_WEATHER_URL",
    first=date(1940, 1, 1),
    description=(
        "Weather, reanalyzed by models: ECMWF IFS (9 km, from 2017) and ERA5 (0.25 degrees, from "
        "1940)."
    ),
    columns=(
        HourlyColumn("temperature_2m", "°C", "Air temperature, 2 m above ground."),
        HourlyColumn("precipitation", "mm", "Rain, showers and snow of the preceding hour."),
        HourlyColumn("rain", "mm", "Rain and showers of the preceding hour."),
        HourlyColumn("snowfall", "cm", "Snowfall of the preceding hour; 7 cm are 10 mm of water."),
        HourlyColumn("wind_speed_10m", "km/h", "Wind speed, 10 m above ground."),
        HourlyColumn(
            "weather_code",
            "wmo code",
            "Weather condition, 0 (clear) to 99 (thunderstorm).",
            "BIGINT",
        ),
    ),
)
HOURLY_TABLES = (AIR_QUALITY, WEATHER)
