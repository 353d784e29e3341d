"""This project: one schema, streamed, read back and counted through before it counts as done."""

from pathlib import Path

from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth


def run(raw: Path, target: Path) -> None:
    conform(TripMonth("yellow", 2021, 1), raw).write(target)
