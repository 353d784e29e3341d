"""The queries of the report: small aggregates of gold, in SQL that every warehouse accepts."""

from __future__ import annotations

from typing import Any

from nyc_taxi.errors import StorageError
from nyc_taxi.transform.plan import StaleMonth, find_stale, read_builds
from nyc_taxi.transform.project import definition, project_folder
from nyc_taxi.transform.targets.base import Target
from nyc_taxi.warehouses.base import DATASET, Warehouse

Rows = list[tuple[Any, ...]]
MONTHS = "gold.month_quality"
MONTH_COLUMNS = (
    *("service", "trip_month", "bronze_rows", "silver_rows", "rejected_rows", "total_amount"),
)
ROUTES = 10
"""Routes of a pickup zone that the page has: the busiest of all services and years."""
UNKNOWN_ZONE = 264

QUERIES = {
    # Days outside the file's month are there too.
    "days": """
        SELECT service, trip_month, pickup_date, sum(trips), sum(total_amount)
        FROM gold.trips_by_hour GROUP BY service, trip_month, pickup_date""",
    "week": """
        SELECT service, trip_month, weekday, extract(hour FROM pickup_hour) AS hour_of_day,
               sum(trips), sum(total_amount)
        FROM gold.trips_by_hour JOIN gold.dim_date ON date_day = pickup_date
        GROUP BY service, trip_month, weekday, extract(hour FROM pickup_hour)""",
    "zone_week": """
        SELECT service, pickup_zone_id, weekday, extract(hour FROM pickup_hour) AS hour_of_day,
               sum(trips)
        FROM gold.trips_by_zone_hour JOIN gold.dim_date ON date_day = pickup_date
        GROUP BY service, pickup_zone_id, weekday, extract(hour FROM pickup_hour)""",
    "zone_trips": """
        SELECT service, trip_month, pickup_zone_id, sum(trips), sum(total_amount)
        FROM gold.trips_by_route GROUP BY service, trip_month, pickup_zone_id""",
    "routes": f"""
        SELECT r.pickup_zone_id, r.dropoff_zone_id, r.service, extract(year FROM r.trip_month),
               sum(r.trips), sum(r.total_amount)
        FROM gold.trips_by_route AS r
        JOIN (
          SELECT pickup_zone_id, dropoff_zone_id, row_number() OVER (
            PARTITION BY pickup_zone_id ORDER BY trips DESC, dropoff_zone_id) AS place
          FROM (
            SELECT pickup_zone_id, dropoff_zone_id, sum(trips) AS trips FROM gold.trips_by_route
            WHERE pickup_zone_id <> {UNKNOWN_ZONE} AND dropoff_zone_id <> {UNKNOWN_ZONE}
            GROUP BY pickup_zone_id, dropoff_zone_id
          ) AS t
        ) AS p
        ON p.pickup_zone_id = r.pickup_zone_id AND p.dropoff_zone_id = r.dropoff_zone_id
        WHERE p.place <= {ROUTES}
        GROUP BY r.pickup_zone_id, r.dropoff_zone_id, r.service, extract(year FROM r.trip_month)""",
    "payments": """
        SELECT service, trip_month, payment_type_id, sum(trips), sum(total_amount), sum(tip_amount)
        FROM gold.trips_by_payment GROUP BY service, trip_month, payment_type_id""",
    "payment_types": "SELECT payment_type_id, payment_type FROM gold.dim_payment_type",
    "companies": """
        SELECT trip_month, company, sum(trips), sum(fare_amount), sum(driver_pay), sum(waits),
               sum(wait_seconds)
        FROM gold.rideshare_by_company GROUP BY trip_month, company""",
    "rejections": """
        SELECT service, trip_month, rule, action, matching_rows, first_reason_rows
        FROM gold.rejections""",
    "codes": "SELECT service, trip_month, column_name, code, trips FROM gold.unknown_codes",
    # The city's day is the mean of its boroughs.
    "air": """
        SELECT pickup_date, location, max(weather_hours), max(precipitation_mm), max(air_hours),
               max(pm2_5_mean), max(us_aqi_max)
        FROM gold.trips_and_air_by_day WHERE location NOT IN ('unknown', 'newark_airport')
        GROUP BY pickup_date, location""",
    "zones": "SELECT zone_id, zone, borough FROM gold.dim_zone",
}


def read_gold(target: Target) -> dict[str, Rows]:
    """Return the sorted rows of each query; none at all if gold has no month.

    Reads between two builds, so that the numbers belong together. Raises StorageError, and its
    LockTimeoutError.
    """
    with target.lock():
        try:
            months = target.warehouse.read_rows(MONTHS, MONTH_COLUMNS)
            if not months:
                return {}
            found = {name: target.query(sql) for name, sql in QUERIES.items()} | {"months": months}
        except StorageError as problem:
            if problem.retryable:
                raise
            raise StorageError(
                f"{problem}; if an older version of these flows has built gold, build it again: "
                "python -m lakehouse.full_pipeline.flow"
            ) from problem
        found["shapes"] = _read_shapes(target.warehouse)
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def _read_shapes(warehouse: Warehouse) -> Rows:
    """Return each zone and its shape; none of a table without shapes."""
    try:
        return warehouse.read_rows(f"{DATASET}.zones", ("LocationID", "geometry"))
    except StorageError as problem:
        if problem.retryable:
            raise
        return []


def read_stale(target: Target) -> list[StaleMonth]:
    """Return the months that are loaded, but not built as they are now defined."""
    warehouse = target.warehouse
    return find_stale(warehouse.read_loads(), read_builds(warehouse), definition(project_folder()))
