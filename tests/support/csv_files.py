"""CSV files of fhv trips, and how they are read or rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nyc_taxi.conform.readers import open_raw
from nyc_taxi.errors import NycTaxiError
from nyc_taxi.trips.months import TripMonth

FHV = TripMonth("fhv", 2021, 1)
FHV_NAMES = (
    "dispatching_base_num,pickup_datetime,dropOff_datetime,PUlocationID,DOlocationID,SR_Flag,"
    "Affiliated_base_number"
)
TIMES = "2021-01-01 10:00:00,2021-01-01 10:30:00"
Rows = list[tuple[Any, ...]]


def fhv(*bases: str) -> str:
    rows = (f"B{n:05},{TIMES},,{n},,{base}" for n, base in enumerate(bases, 1))
    return "\n".join((FHV_NAMES, *rows)) + "\n"


def write(folder: Path, content: bytes | str, name: str = f"{FHV.stem}.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(raw: Path) -> Rows:
    """Return all rows; check their number against the independent count of records."""
    with open_raw(raw, threads=1) as db:
        rows = db.execute("FROM raw").fetchall()
        assert db.records() == len(rows)
    return rows


def rejection(raw: Path) -> str:
    """Return the message that rejects the file: one line, without values of the file."""
    with pytest.raises(NycTaxiError) as problem:
        read(raw)
    error = str(problem.value)
    assert "\n" not in error
    assert raw.name in error
    assert "secret" not in error
    return error
