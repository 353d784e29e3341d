"""Check the server, source, lake and warehouse: `python -m nyc_taxi.doctor` or `make doctor`.

Prints one line per check. A failed check includes its fix and sets the exit code to 1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date

from nyc_taxi.cli import script

import httpx
from prefect.settings import PREFECT_API_URL

from nyc_taxi.errors import NycTaxiError, SourceError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.orchestration.server import check_server, check_workers
from nyc_taxi.orchestration.server_errors import explain, shown_url
from nyc_taxi.registry import shown_address
from nyc_taxi.settings import Settings, settings
from nyc_taxi.sources.published import months_back
from nyc_taxi.sources.tlc import published_version
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Color
from nyc_taxi.urls import is_remote, safe_url
from nyc_taxi.warehouses.registry import open_warehouse


def checks(config: Settings) -> dict[str, tuple[str, Callable[[], str]]]:
    """Return name -> (address, check); a check returns its result or raises NycTaxiError."""
    server: dict[str, tuple[str, Callable[[], str]]] = {
        "server": (shown_url(), check_server),
        "workers": ("", check_workers),
    }
    return (server if PREFECT_API_URL.value() else {}) | {
        "source": (
            safe_url(config.source_url),
            lambda: check_source(config.source_url, config.timeout),
        ),
        "lake": (shown_address(config.lake), lambda: open_lake(config.lake).check()),
        "warehouse": (
            shown_address(config.warehouse),
            lambda: open_warehouse(config.warehouse).check(),
        ),
    }


def check_source(source: str, timeout: float) -> str:
    newest = {color: _newest(color, source, timeout) for color in SERVICES}
    found = [str(trips) for trips in newest.values() if trips]
    if not found:
        raise SourceError(
            "no months found for any color; set NYC_TAXI_SOURCE_URL to the folder of the months"
        )
    missing = [color for color, trips in newest.items() if not trips]
    suffix = f"; not found: {', '.join(missing)}" if missing else ""
    return f"newest months: {', '.join(found)}{suffix}"


def _newest(color: Color, source: str, timeout: float) -> TripMonth | None:
    """Return the newest month; on a website, probe only the last six months and each January."""
    today = date.today()
    for n, trips in enumerate(months_back(color, today.year, today.month)):
        probed = n < 6 or trips.month == 1 or not is_remote(source)
        if probed and published_version(trips, source, timeout, wait=0) is not None:
            return trips
    return None


def main() -> int:
    failed = False
    for name, (address, check) in checks(settings()).items():
        try:
            state, text = "ok", check()
        except NycTaxiError as problem:
            failed, state, text = True, "failed", str(problem)
        except httpx.HTTPError as problem:  # from the Prefect server, while loading a block
            failed, state, text = True, "failed", explain(problem)
        print(f"{name:10} {state:7} {address}: {text}", flush=True)
    return int(failed)


if __name__ == "__main__":
    logging.getLogger("prefect").setLevel(logging.WARNING)
    script(main)
