"""Check what the settings name, a line for each: `python -m nyc_taxi.doctor`, or `make doctor`.

A line that says `failed` says what to do; then the exit code is 1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from nyc_taxi.cli import script

import httpx
from prefect.settings import PREFECT_API_URL

from nyc_taxi.errors import NycTaxiError, SourceError
from nyc_taxi.lakes import open_lake
from nyc_taxi.months import TripMonth
from nyc_taxi.server import check_server, check_workers, explain, shown_url
from nyc_taxi.settings import Settings, settings
from nyc_taxi.sources import locate
from nyc_taxi.warehouses import open_warehouse

FIRST_OF_THE_COURSE = TripMonth("yellow", 2021, 1)


def checks(config: Settings) -> dict[str, tuple[str, Callable[[], str]]]:
    """The name of each thing, its address, and what looks whether it can be used."""
    server: dict[str, tuple[str, Callable[[], str]]] = {
        "server": (shown_url(), check_server),
        "workers": ("", check_workers),
    }
    return (server if PREFECT_API_URL.value() else {}) | {
        "source": (config.source_url, lambda: check_source(config.source_url, config.timeout)),
        "lake": (config.lake, lambda: open_lake(config.lake).check()),
        "warehouse": (config.warehouse, lambda: open_warehouse(config.warehouse).check()),
    }


def check_source(source: str, timeout: float) -> str:
    place = locate(FIRST_OF_THE_COURSE, source)
    if isinstance(place, Path):
        return f"{place} is there"
    try:
        status = httpx.head(place, timeout=timeout, follow_redirects=True).status_code
    except httpx.HTTPError as problem:
        raise SourceError(
            f"no answer ({problem}); look at the network, or set NYC_TAXI_SOURCE_URL"
        ) from problem
    if status != 200:
        raise SourceError(
            f"{place} answers {status}; set NYC_TAXI_SOURCE_URL to where the months are"
        )
    return f"{place} is there"


def main() -> int:
    failed = False
    for name, (address, check) in checks(settings()).items():
        try:
            state, text = "ok", check()
        except NycTaxiError as problem:
            failed, state, text = True, "failed", str(problem)
        except httpx.HTTPError as problem:  # of Prefect's server, asked for a block
            failed, state, text = True, "failed", explain(problem)
        print(f"{name:10} {state:7} {address}: {text}", flush=True)
    return int(failed)


if __name__ == "__main__":
    logging.getLogger("prefect").setLevel(logging.WARNING)
    script(main)
