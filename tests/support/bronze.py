"""Bronze tables for tests of the dbt project: months of trips, zones, hours of air and weather."""

from __future__ import annotations

import datetime
from pathlib import Path

import duckdb

from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.base import Warehouse
from synthetic_tlc import write_zones

LOCATIONS = ("manhattan", "brooklyn", "queens", "bronx", "staten_island", "newark_airport")
_HOURS_SQL = """
    SELECT location, CAST(time_utc AS TIMESTAMP) AS time_utc, {columns},
        TIMESTAMP '2026-01-01 00:00:00' AS fetched_at
    FROM generate_series(TIMESTAMP '{first}', TIMESTAMP '{last}' - INTERVAL 1 HOUR,
        INTERVAL 1 HOUR) AS hours(time_utc),
        (SELECT unnest({locations}) AS location, unnest(range(6)) AS place) AS places,
        LATERAL (SELECT hour(time_utc) + 24 * day(time_utc) + 7 * place AS n) AS numbers
"""
_MEASURES = {
    "air_quality_hourly": {
        "pm2_5": "n % 97 / 4.0",
        "pm10": "n % 89 / 3.0",
        "ozone": "CASE WHEN n % 11 > 0 THEN n % 83 / 2.0 END",
        "nitrogen_dioxide": "n % 79 / 7.0",
        "sulphur_dioxide": "n % 17 / 3.0",
        "carbon_monoxide": "200 + n % 101 / 3.0",
        "us_aqi": "CAST(n % 331 AS DOUBLE)",
        **{
            f"us_aqi_{name}": f"CAST(n % {330 - place} AS DOUBLE)"
            for place, name in enumerate(
                ("pm2_5", "pm10", "ozone", "nitrogen_dioxide", "sulphur_dioxide", "carbon_monoxide")
            )
        },
    },
    "weather_hourly": {
        "temperature_2m": "n % 61 / 3.0 - 5",
        "precipitation": "CASE WHEN n % 13 = 0 THEN n % 7 / 10.0 ELSE 0 END",
        "rain": "CASE WHEN n % 13 = 0 THEN n % 7 / 10.0 ELSE 0 END",
        "snowfall": "CASE WHEN n % 170 = 0 THEN 0.07 ELSE 0 END",
        "wind_speed_10m": "n % 53 / 3.0",
        "weather_code": "n % 4",
    },
}


def write_hours(table: str, first: datetime.date, last: datetime.date, path: Path) -> Path:
    """Write synthetic hours from `first` to before `last` (UTC) in the columns of bronze."""
    columns = ", ".join(f"{sql} AS {name}" for name, sql in _MEASURES[table].items())
    with duckdb.connect() as db:
        query = _HOURS_SQL.format(
            columns=columns, first=first, last=last, locations=list(LOCATIONS)
        )
        doubles = {name: "DOUBLE" for name in _MEASURES[table] if name != "weather_code"}
        replaced = ", ".join(f"CAST({n} AS {kind}) AS {n}" for n, kind in doubles.items())
        db.execute(f"COPY (SELECT * REPLACE ({replaced}) FROM ({query})) TO '{path}'")
    return path


def write_zones_table(folder: Path) -> Path:
    """Write the zones as the table has them, without shapes."""
    path = folder / "zones.parquet"
    lookup = write_zones(folder)
    with duckdb.connect() as db:
        db.execute(
            f"COPY (FROM read_csv('{lookup}', all_varchar = true) SELECT "
            "CAST(LocationID AS INTEGER) AS LocationID, Borough, Zone, service_zone, "
            f"CAST(NULL AS DOUBLE) AS longitude) TO '{path}'"
        )
    return path


def load_trips(
    warehouse: Warehouse, trips: TripMonth, raw: Path, folder: Path, fill: int | None = 0
) -> int:
    """Conform a raw file and load it, as the flows do."""
    path = folder / f"{trips.stem}.parquet"
    conform(trips, raw).write(path)
    fills = {"passenger_count": fill} if fill is not None and _has_passengers(trips) else {}
    return warehouse.replace_month(trips, path, fills)


def _has_passengers(trips: TripMonth) -> bool:
    return trips.service.column("passenger_count") is not None


def load_hours(
    warehouse: Warehouse, first: datetime.date, last: datetime.date, folder: Path
) -> None:
    for table in _MEASURES:
        path = write_hours(table, first, last, folder / f"{table}.parquet")
        warehouse.replace_hours(table, path, midnight(first), midnight(last))


def midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time())
