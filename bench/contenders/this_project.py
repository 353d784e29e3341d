"""This project: conform to one schema, streaming, and verify the written file."""

from pathlib import Path

from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth


def run(raw: Path, target: Path) -> None:
    conform(TripMonth("yellow", 2021, 1), raw).write(target)
