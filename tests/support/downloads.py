"""Helpers for download tests: files to serve, and assertions on the stored files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nyc_taxi.errors import (
    LockTimeoutError,
    NycTaxiError,
    TransientSourceError,
)
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site, write_month
from synthetic_tlc.site import Request

REAL = Path(__file__).parents[3] / "shared" / "tlc"
JANUARY = TripMonth("yellow", 2021, 1)
NAME = f"{JANUARY.stem}.parquet"
TEMPLATE = "{color}_tripdata_{year}-{month:02}"


def real_file(name: str) -> Path:
    """Return the path of a published file; skip the test without it."""
    path = REAL / name
    if not path.exists():
        pytest.skip(f"the real file {name} is missing")
    return path


def read_real(name: str) -> bytes:
    return real_file(name).read_bytes()


@cache
def month_bytes(ending: str = ".parquet", seed: int = 0, rows: int = 20_000) -> bytes:
    """Return a month's file of about 500 kB."""
    with TemporaryDirectory() as folder:
        made = write_month(Path(folder), "yellow", 2021, 1, rows, seed, ending.removeprefix("."))
        return made.read_bytes()


def serve(site: Site, content: bytes, name: str = NAME) -> None:
    (site.folder / name).write_bytes(content)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder except locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def names(folder: Path) -> list[str]:
    return sorted(contents(folder))


COMPLETE = [f"yellow/{NAME}", f"yellow/{NAME}.json"]
PARTIAL = [f"yellow/{NAME}.part", f"yellow/{NAME}.part.json"]


def conditions(request: Request) -> dict[str, str | None]:
    conditions = ("If-None-Match", "If-Modified-Since", "Range", "If-Range")
    return {name: request.headers[name] for name in conditions if name in request.headers}


def statuses(site: Site) -> list[int]:
    return [request.status for request in site.requests]


@contextmanager
def fails_with(kind: type[NycTaxiError], *parts: str) -> Iterator[None]:
    """Assert that the block raises exactly this class, with all parts in a message of one line."""
    with pytest.raises(NycTaxiError) as raised:
        yield
    line = str(raised.value)
    assert type(raised.value) is kind, line
    assert raised.value.retryable is (kind in (TransientSourceError, LockTimeoutError))
    assert "\n" not in line
    assert [word for word in parts if word not in line] == [], line
