"""Which months are stale, why, and in which batches they are built."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from nyc_taxi.transform.plan import Build, Source, StaleMonth, batches, find_stale
from nyc_taxi.warehouses.loads import Load

JANUARY, FEBRUARY, MARCH = (date(2024, month, 1) for month in (1, 2, 3))


def load(table: str, month: date, load_id: str = "first", rows: int = 10) -> Load:
    return Load(table, month, rows, None, load_id, datetime(2024, 5, 1))


def build(table: str, month: date, source: date | None = None) -> dict[Source, Build]:
    return {Source(month, table, source or month): Build("first", "now")}


GREEN, AIR = "green_rides", "air_quality_hourly"
BUILT = build(GREEN, JANUARY) | build(AIR, JANUARY) | build(AIR, JANUARY, FEBRUARY)


def reasons(loads: list[Load], builds: dict[Source, Build], definition: str = "now") -> list[str]:
    return [str(month) for month in find_stale(loads, builds, definition)]


def test_month_is_fresh_if_all_its_loads_were_built() -> None:
    assert reasons([load(GREEN, JANUARY), load(AIR, JANUARY)], BUILT) == []


@pytest.mark.parametrize(
    ("loads", "definition", "expected"),
    [
        ([load(GREEN, JANUARY, "second")], "now", ["2024-01: green_rides loaded again"]),
        ([load(GREEN, JANUARY)], "other", ["2024-01: definition changed"]),
        ([load("fhv_rides", JANUARY)], "now", ["2024-01: fhv_rides never built"]),
    ],
)
def test_reason_is_named(loads: list[Load], definition: str, expected: list[str]) -> None:
    assert reasons(loads, BUILT, definition) == expected


def test_hours_belong_to_the_month_before_too() -> None:
    """The last evening of a month in New York is in the next month in UTC."""
    loads = [load(GREEN, JANUARY), load(AIR, FEBRUARY, "second")]
    assert reasons(loads, BUILT) == [
        "2024-01: air_quality_hourly 2024-02 loaded again",
        "2024-02: air_quality_hourly never built",
    ]


def test_batches_have_at_most_the_given_rows() -> None:
    months = [StaleMonth(month, 40, ("never built",)) for month in (JANUARY, FEBRUARY, MARCH)]
    sizes = [[len(batch) for batch in batches(months, rows)] for rows in (100, 10, 1000)]
    assert sizes == [[2, 1], [1, 1, 1], [3]]


def test_changed_definition_is_built_in_one_batch() -> None:
    """Columns may have another type, so the months cannot be published one by one."""
    months = find_stale([load(GREEN, m, rows=40) for m in (JANUARY, FEBRUARY)], BUILT, "other")
    assert [len(batch) for batch in batches(months, 10)] == [2]
