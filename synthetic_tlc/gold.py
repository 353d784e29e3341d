"""Gold tables with invented numbers of a real size, in DuckDB: for tests of the report, and bench.

The tables have the columns that the report reads, and add up as the models do.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import duckdb

TRIPS = {"yellow": 9_000_000, "green": 900_000, "fhv": 1_500_000, "fhvhv": 18_000_000}
"""Trips a month in the busy years."""
FIRST = {"yellow": 2009, "green": 2014, "fhv": 2015, "fhvhv": 2019}
RULES = {
    "pickup_missing": ("reject", 0),
    "dropoff_before_pickup": ("reject", 3),
    "amount_impossible": ("reject", 1),
    "is_void": ("flag", 2),
    "passengers_unknown": ("flag", 80),
    "zone_unknown": ("flag", 90),
}
"""Rule -> its action, and rows in a thousand that match it."""
TABLES = (
    """month_quality AS SELECT service, trip_month, trips + rejected AS bronze_rows,
    trips AS silver_rows, rejected AS rejected_rows, dollars AS total_amount FROM totals""",
    """dim_date AS SELECT CAST(d AS DATE) AS date_day, isodow(d) AS weekday
    FROM range(DATE '2008-12-01', DATE '2036-01-01', INTERVAL 1 DAY) AS days(d)""",
    "dim_zone AS SELECT * FROM zone_names",
    """dim_payment_type AS SELECT * FROM (VALUES (0, 'Flex fare'), (1, 'Credit card'), (2, 'Cash'),
    (3, 'No charge'), (4, 'Dispute'), (5, 'Unknown'), (6, 'Voided trip'), (-1, 'Missing'),
    (-2, 'Undeclared')) AS types(payment_type_id, payment_type)""",
    """trips_by_hour AS SELECT service, trip_month, pickup_hour,
    CAST(pickup_hour AS DATE) AS pickup_date, part(trips, place, hours) AS trips,
    part(dollars, place, hours) AS total_amount FROM (
      SELECT *, row_number() OVER months - 1 AS place, count(*) OVER (PARTITION BY service,
      trip_month) AS hours FROM totals, LATERAL (SELECT unnest(range(trip_month::TIMESTAMP,
      trip_month + INTERVAL 1 MONTH, INTERVAL 1 HOUR)) AS pickup_hour)
      WINDOW months AS (PARTITION BY service, trip_month ORDER BY pickup_hour))""",
    """trips_by_route AS SELECT service, trip_month, 1 + place // 16 AS pickup_zone_id,
    1 + (place // 16 + place % 16 * 7) % 265 AS dropoff_zone_id,
    part(trips, place, 265 * 16) AS trips, part(dollars, place, 265 * 16) AS total_amount
    FROM totals, range(265 * 16) AS places(place)""",
    # Of each zone and month, the hours of one week: 600 months would have 118 million rows.
    """trips_by_zone_hour AS SELECT service, trip_month, pickup_zone_id, pickup_hour,
    CAST(pickup_hour AS DATE) AS pickup_date, part(trips, place, 168) AS trips
    FROM (SELECT service, trip_month, pickup_zone_id, sum(trips) AS trips
          FROM gold.trips_by_route GROUP BY service, trip_month, pickup_zone_id),
    LATERAL (SELECT place, trip_month + to_hours(place) AS pickup_hour
             FROM range(168) AS places(place))""",
    """trips_by_payment AS SELECT service, trip_month, kind AS payment_type_id,
    part(trips, kind, 3) AS trips, part(dollars, kind, 3) AS total_amount,
    0.15 * part(dollars, kind, 3) AS tip_amount
    FROM totals, range(3) AS kinds(kind) WHERE service IN ('yellow', 'green') UNION ALL
    SELECT service, trip_month, -1, trips, dollars, 0.04 * dollars FROM totals
    WHERE service IN ('fhv', 'fhvhv')""",
    """rideshare_by_company AS SELECT trip_month, company, part(trips, place, 2) AS trips,
    part(dollars, place, 2) * 0.8 AS fare_amount, part(dollars, place, 2) * 0.6 AS driver_pay,
    part(trips, place, 2) AS waits, part(trips, place, 2) * 270 AS wait_seconds
    FROM totals, (VALUES ('Uber', 0), ('Lyft', 1)) AS companies(company, place)
    WHERE service = 'fhvhv'""",
    """rejections AS SELECT service, trip_month, rule, action,
    CASE WHEN action = 'reject' THEN rejected * share // 4 ELSE trips * share // 1000 END
    AS matching_rows, CASE WHEN action = 'reject' THEN rejected * share // 4 ELSE 0 END
    AS first_reason_rows FROM totals, rules""",
    """unknown_codes AS SELECT service, trip_month, 'vendor_id' AS column_name, '4' AS code,
    trips // 1000 AS trips FROM totals WHERE service = 'green'""",
    """trips_and_air_by_day AS SELECT DISTINCT pickup_date, location, 24 AS weather_hours,
    greatest(0, noise(place) * 40 - 25) AS precipitation_mm,
    CASE WHEN pickup_date >= DATE '2022-08-01' THEN 24 END AS air_hours,
    CASE WHEN pickup_date >= DATE '2022-08-01' THEN 5 + noise(place + 1) * 20 END AS pm2_5_mean,
    CASE WHEN pickup_date >= DATE '2022-08-01' THEN 30 + noise(place + 2) * 90 END AS us_aqi_max
    FROM (SELECT DISTINCT pickup_date, pickup_date - DATE '2000-01-01' AS place
          FROM gold.trips_by_hour),
    (VALUES ('manhattan'), ('brooklyn')) AS places(location)""",
)


def all_months() -> list[tuple[str, date]]:
    """Return the first 600 months of the four services, by date."""
    months = [
        (date(year, month, 1), service)
        for service, first in FIRST.items()
        for year in range(first, 2036)
        for month in range(1, 13)
    ]
    return [(service, day) for day, service in sorted(months)[:600]]


def write_gold(
    path: Path, months: Iterable[tuple[str, date]], zones: Path | None, scale: float = 1
) -> None:
    """Create the tables in a new file. `zones`: Parquet of the table of zones, or none of it."""
    values = ", ".join(f"('{service}', DATE '{day}', {TRIPS[service]})" for service, day in months)
    rules = ", ".join(f"('{rule}', '{action}', {n})" for rule, (action, n) in RULES.items())
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE SCHEMA gold; CREATE SCHEMA dezoomcamp")
        db.execute("CREATE MACRO noise(x) AS hash(x) % 100000 / 100000")
        # The parts of a whole number differ, and add up to it.
        db.execute(
            "CREATE MACRO border(whole, place, parts) AS CASE WHEN place = 0 THEN 0 WHEN place = "
            "parts THEN whole ELSE CAST(whole * (place + 0.9 * noise(hash(whole, place))) / parts"
            " AS BIGINT) END"
        )
        db.execute(
            "CREATE MACRO part(whole, place, parts) AS border(whole, place + 1, parts)"
            " - border(whole, place, parts)"
        )
        db.execute(
            f"CREATE TEMP TABLE totals AS SELECT service, trip_month, n AS trips, n // 250 AS "
            "rejected, CASE WHEN service <> 'fhv' THEN n * 17 END AS dollars FROM (SELECT service,"
            f" trip_month, CAST({scale} * size * (0.7 + 0.3 * noise(trip_month)) AS BIGINT) AS n"
            f" FROM (VALUES {values}) AS m(service, trip_month, size))"
        )
        db.execute(
            f"CREATE TEMP TABLE rules AS FROM (VALUES {rules}) AS rules(rule, action, share)"
        )
        names = "n, 'Zone ' || n, 'Unknown' FROM range(1, 266) AS r(n)"
        if zones:
            db.execute(f"CREATE TABLE dezoomcamp.zones AS FROM read_parquet('{zones}')")
            names = "LocationID, Zone, Borough FROM dezoomcamp.zones"
        db.execute(f"CREATE TEMP TABLE zone_names(zone_id, zone, borough) AS SELECT {names}")
        for table in TABLES:
            db.execute(f"CREATE TABLE gold.{table}")
