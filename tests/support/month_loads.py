"""Conformed months to load, and what a warehouse holds of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth
from tests.support.warehouses import EmptyWarehouse

FILL = {"passenger_count": 0}
Clean = Callable[..., Path]


@pytest.fixture(scope="session")
def clean(
    month_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Return a conformed file of a month: clean(trips, rows); its source's version is etag ROWS."""
    folder = tmp_path_factory.mktemp("clean")

    def make(trips: TripMonth, rows: int, seed: int = 0) -> Path:
        path = folder / f"{trips.stem}-{rows}-{seed}.parquet"
        if not path.exists():
            conform(trips, month_file(trips, rows, seed=seed)).write(path, f"etag {rows}")
        return path

    return make


@pytest.fixture(scope="session")
def small_month(clean: Clean) -> Path:
    """Conformed month of 2000 trips."""
    return clean(TripMonth("yellow", 2021, 1), 2000)


def sums(target: EmptyWarehouse, color: str = "yellow") -> list[tuple[Any, ...]]:
    """Return counts and sums per month, to compare the rows of a table."""
    return in_cents(
        target.query(
            "SELECT trip_month, count(*), sum(total_amount), sum(PULocationID), "
            f"count(passenger_count) FROM dezoomcamp.{color}_rides GROUP BY trip_month ORDER BY 1"
        )
    )


def in_cents(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Round sums of doubles: their last digits depend on the order of the rows."""
    return [(month, count, round(dollars, 2), *rest) for month, count, dollars, *rest in rows]
