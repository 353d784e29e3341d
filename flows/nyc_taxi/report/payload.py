"""The numbers of the page: compact columns that its script adds up for any choice of filters."""

from __future__ import annotations

import base64
import gzip
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, TypeGuard

import numpy as np

from nyc_taxi.errors import StorageError
from nyc_taxi.report.queries import Rows
from nyc_taxi.report.shapes import grid_shapes
from nyc_taxi.transform.plan import StaleMonth
from nyc_taxi.trips.schemas import SERVICES

HOURS = 7 * 24
DAYS = 32
"""Position 0 has the pickups outside the file's month."""
ZONES = 266
WHOLE_DAY = 23
"""Hours that a day must have for its sums and means to count: one has 23 in New York."""
BY_MONTH = ("days", "week", "zone_trips", "payments", "rejections", "codes")
"""Queries whose rows begin with the service and month."""
Position = tuple[str, date]
Payload = dict[str, Any]


def make_payload(gold: Mapping[str, Rows], stale: Sequence[StaleMonth]) -> Payload:
    """Return what the page needs, as JSON; cubes are packed (`pack`). Money is whole dollars."""
    order = list(SERVICES)
    months = sorted(gold["months"], key=lambda row: (order.index(row[0]), row[1]))
    services = list(dict.fromkeys(row[0] for row in months))
    index = {(service, month): n for n, (service, month, *_) in enumerate(months)}
    _check_months(gold, index)
    zones = [[int(zone), _text(name), _text(borough)] for zone, name, borough in gold["zones"]]
    shapes = grid_shapes(row for row in gold["shapes"] if 0 < int(row[0]) < ZONES)
    return {
        "services": services,
        "months": [_month(row) for row in months],
        "stale": {f"{m.first_day:%Y-%m}": ", ".join(m.reasons) for m in stale},
        "zones": sorted(zones),
        "shapes": [list(shape) for shape in shapes.items()],
        **_cubes(gold, index),
        "zone_week": _zone_week(gold["zone_week"], services),
        **_payments(gold, index),
        **_routes(gold["routes"]),
        **_rules(gold["rejections"], index),
        "codes": [
            [index[service, month], column, _text(code), int(trips)]
            for service, month, column, code, trips in gold["codes"]
        ],
        **_companies(gold["companies"], index),
        **_air(gold["air"]),
    }


def _check_months(gold: Mapping[str, Rows], index: Mapping[Position, int]) -> None:
    """Raise StorageError for a table with a month that is not published in the others.

    On Spark each table is published alone, so a build that was killed can leave such tables.
    """
    named = {(service, month) for name in BY_MONTH for service, month, *_ in gold[name]}
    named |= {("fhvhv", month) for month, *_ in gold["companies"]}
    for service, month in sorted(named - index.keys()):
        raise StorageError(
            f"gold was published in part: {service} {month:%Y-%m} is not in all tables; "
            "complete it: python -m lakehouse.gold.flow"
        )


def _month(row: tuple[Any, ...]) -> list[Any]:
    """Return service, month, rows, trips, rejected rows, and dollars; null without amounts."""
    service, month, rows, trips, rejected, amount = row
    dollars = float(round(amount, 2)) if _is_known(amount) else None
    return [service, f"{month:%Y-%m}", int(rows), int(trips), int(rejected), dollars]


def _cubes(gold: Mapping[str, Rows], index: Mapping[Position, int]) -> Payload:
    """Trips and dollars by month and hour of the week, day, and pickup zone."""
    week, days, zones = (Cube(len(index), width) for width in (HOURS, DAYS, ZONES))
    for service, month, weekday, hour, *values in gold["week"]:
        week.add(index[service, month], (int(weekday) - 1) * 24 + int(hour), *values)
    for service, month, day, *values in gold["days"]:
        inside = (day.year, day.month) == (month.year, month.month)
        days.add(index[service, month], day.day if inside else 0, *values)
    for service, month, zone, *values in gold["zone_trips"]:
        zones.add(index[service, month], int(zone), *values)
    return {"week": week.packed(), "days": days.packed(), "zone": zones.packed()}


def _zone_week(rows: Rows, services: Sequence[str]) -> str:
    """Trips by service and pickup zone, and hour of the week; of all months together."""
    cube = Cube(len(services) * ZONES, HOURS, measures=1)
    for service, zone, weekday, hour, trips in rows:
        part = services.index(service) * ZONES + int(zone)
        cube.add(part, (int(weekday) - 1) * 24 + int(hour), trips)
    return cube.packed()


def _payments(gold: Mapping[str, Rows], index: Mapping[Position, int]) -> Payload:
    """Trips, dollars and tips by month and payment type."""
    types = sorted(gold["payment_types"], key=lambda row: int(row[0]))
    column = {kind: n for n, (kind, _) in enumerate(types)}
    cube = Cube(len(index), len(types), measures=3)
    for service, month, kind, *values in gold["payments"]:
        cube.add(index[service, month], column[kind], *values)
    return {"payment_types": [list(row) for row in types], "payments": cube.packed()}


def _routes(rows: Rows) -> Payload:
    """Trips and dollars of each service and year by route: pickup and dropoff zone."""
    routes = sorted({(int(row[0]), int(row[1])) for row in rows})
    parts = sorted({(row[2], int(row[3])) for row in rows})
    column = {route: n for n, route in enumerate(routes)}
    index = {part: n for n, part in enumerate(parts)}
    cube = Cube(len(parts), len(routes))
    for pickup, dropoff, service, year, *values in rows:
        cube.add(index[service, int(year)], column[int(pickup), int(dropoff)], *values)
    return {"routes": routes, "route_parts": parts, "route": cube.packed()}


def _rules(rows: Rows, index: Mapping[Position, int]) -> Payload:
    """Rows by month and rule: those that a rejecting rule is the first to match, or flagged."""
    rules = sorted({(action, rule) for _, _, rule, action, *_ in rows}, reverse=True)
    column = {rule: n for n, (_, rule) in enumerate(rules)}
    cube = Cube(len(index), len(rules), measures=1)
    for service, month, rule, action, matching, first in rows:
        cube.add(index[service, month], column[rule], first if action == "reject" else matching)
    return {"rules": [[rule, action] for action, rule in rules], "rejections": cube.packed()}


def _companies(rows: Rows, index: Mapping[Position, int]) -> Payload:
    """Month, company, trips, dollars of fares and of driver pay, waits and their seconds."""
    found = [
        [index["fhvhv", month], _text(company), *(_whole(value) for value in values)]
        for month, company, *values in rows
    ]
    return {"companies": sorted(found)}


def _air(rows: Rows) -> Payload:
    """First day, and [precipitation (0.1 mm), PM2.5 (0.1 µg/m³), AQI] of each day or nulls."""
    boroughs: dict[date, list[tuple[Any, ...]]] = defaultdict(list)
    for day, _, *values in rows:
        boroughs[day].append(tuple(values))
    if not boroughs:
        return {"air_start": None, "air": []}
    first, last = min(boroughs), max(boroughs)
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return {"air_start": f"{first}", "air": [_city_day(boroughs[day]) for day in span]}


def _city_day(boroughs: Sequence[tuple[Any, ...]]) -> list[int | None]:
    rain, particles, index = [], [], []
    for weather_hours, precipitation, air_hours, pm, aqi in boroughs:
        if (weather_hours or 0) >= WHOLE_DAY:
            rain.append(precipitation)
        if (air_hours or 0) >= WHOLE_DAY:
            particles.append(pm)
            index.append(aqi)
    highest = max(_known(index), default=None)
    return [_mean(rain, 10), _mean(particles, 10), None if highest is None else round(highest)]


def _mean(values: Sequence[float | None], factor: int) -> int | None:
    known = _known(values)
    return round(factor * sum(known) / len(known)) if known else None


def _known(values: Sequence[float | None]) -> list[float]:
    return [float(value) for value in values if _is_known(value)]


def _is_known(value: float | None) -> TypeGuard[float]:
    """Return whether it is neither null nor a value that JSON has no number for."""
    return value is not None and math.isfinite(value)


def _whole(value: Any) -> int:
    return round(value) if _is_known(value) else 0


def _text(value: str) -> str:
    """Omit what is not printed: control characters, and those that reverse the text."""
    return "".join(character for character in value if character.isprintable())


class Cube:
    """Whole numbers by measure (trips, dollars), month or part, and column."""

    def __init__(self, parts: int, columns: int, measures: int = 2) -> None:
        self.values = np.zeros((measures, parts, columns), "<i4")

    def add(self, part: int, column: int, *values: Any) -> None:
        for measure, value in enumerate(values):
            self.values[measure, part, column] += _whole(value)

    def packed(self) -> str:
        """Return the numbers in base64: gzipped, all lowest bytes first, then all second ones.

        Grouped like this they are a fifth smaller.
        """
        planes = self.values.reshape(-1, 1).view(np.uint8).T
        return base64.b64encode(gzip.compress(planes.tobytes(), 9, mtime=0)).decode()
