"""The two hourly tables from Open-Meteo: their columns, units, points and months.

Sources: https://open-meteo.com/en/docs/air-quality-api and
https://open-meteo.com/en/docs/historical-weather-api. The data is licensed under CC BY 4.0
(https://open-meteo.com/en/terms).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Literal

from nyc_taxi.trips.comments import Comments

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


@dataclass(frozen=True)
class HourlyMonth:
    """One month (UTC) of an hourly table: the unit that is stored and replaced."""

    table: HourlyTable
    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.table.folder} {self.year}-{self.month:02}"

    @property
    def key(self) -> str:
        """Path of the month's file in a lake, such as data/weather/weather_2024-05.parquet."""
        name = self.table.folder
        return f"data/{name}/{name}_{self.year}-{self.month:02}.parquet"

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def next_first_day(self) -> date:
        return date(self.year + self.month // 12, self.month % 12 + 1, 1)

    @property
    def hours(self) -> tuple[datetime, datetime]:
        """First hours of the month and of the next one (UTC, without a zone)."""
        midnight = datetime.min.time()
        return (
            datetime.combine(self.first_day, midnight),
            datetime.combine(self.next_first_day, midnight),
        )

    def is_settled(self, loaded_at: datetime) -> bool:
        """Return whether all hours had their last values when they were loaded (UTC)."""
        return loaded_at >= self.hours[1] + SETTLED


@dataclass(frozen=True)
class HourlyRequest:
    """Consecutive months of one table and year: what one request fetches."""

    months: tuple[HourlyMonth, ...]

    def __str__(self) -> str:
        first, last = self.months[0], self.months[-1]
        return str(first) if first == last else f"{first} to {last.year}-{last.month:02}"

    @property
    def table(self) -> HourlyTable:
        return self.months[0].table

    @property
    def first_day(self) -> date:
        return self.months[0].first_day

    @property
    def last_day(self) -> date:
        """Last day of the months, or today (UTC)."""
        return min(self.months[-1].next_first_day - timedelta(days=1), datetime.now(UTC).date())


def group_months(months: Iterable[HourlyMonth]) -> list[HourlyRequest]:
    """Group months, in the order of their tables and dates, into as few requests as possible."""
    runs = groupby(
        enumerate(months), lambda one: (one[1].table.name, one[1].year, one[1].month - one[0])
    )
    return [HourlyRequest(tuple(month for _, month in run)) for _, run in runs]


def hourly_months(table: HourlyTable, start: date, end: date) -> Iterator[HourlyMonth]:
    """Yield the months that have a day from `start` to `end`, and values for New York."""
    day = max(start, table.first).replace(day=1)
    while day <= end:
        month = HourlyMonth(table, day.year, day.month)
        yield month
        day = month.next_first_day


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
