"""Size of the report, and the time until it is ready and filtered, in headless Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.markdown import table
from nyc_taxi.conform.column_rules import read_rules
from reference.zones.shapes import read_lookup, read_shapes, write_zones
from synthetic_tlc.gold import all_months, write_gold
from synthetic_tlc.zones import write_zones as write_zone_files
from tests.support.report_pages import chromium, make_page, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RUNS = 5
DEMO = [("yellow", date(2024, 1, 1)), ("yellow", date(2024, 2, 1)), ("green", date(2024, 1, 1))]
FILTERS = ("year=2024", "month=1", "zone=132", "show=revenue", "month=2")
REFRESHES = "performance.getEntriesByName('refresh')"


def report() -> str:
    with TemporaryDirectory(prefix="bench-") as name, chromium() as browser:
        lines = list(_measure(Path(name), browser))
    header = ("page", "MB", "made in, s", "ready in, s", "a filter, s")
    return f"The report, median of {RUNS}\n\n{table(header, lines)}"


def _measure(folder: Path, browser: Browser) -> Iterator[tuple[str, ...]]:
    zones = _zones(folder)
    for title, months, scale in (
        ("3 months, as many rows as the demo", DEMO, 0.02),
        ("600 months, 3.3 billion trips", all_months(), 1.0),
    ):
        warehouse = folder / f"{len(months)}.duckdb"
        write_gold(warehouse, months, zones, scale)
        began = time.perf_counter()
        page = make_page(warehouse, folder / f"{len(months)}.html")
        made = time.perf_counter() - began
        ready, filtered = zip(*(_open(browser, page) for _ in range(RUNS)), strict=True)
        size = page.stat().st_size / 1e6
        yield title, f"{size:.2f}", f"{made:.1f}", f"{median(ready):.2f}", f"{median(filtered):.2f}"


def _open(browser: Browser, path: Path) -> tuple[float, float]:
    """Return the seconds from navigation until all is drawn, and of the slowest filter."""
    with opened(browser, path) as page:
        ready = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
        return ready / 1000, max(_filter(page, link) for link in FILTERS)


def _filter(page: Page, link: str) -> float:
    drawn = page.evaluate(f"{REFRESHES}.length")
    page.evaluate("link => { location.hash = link; }", link)
    while page.evaluate(f"{REFRESHES}.length") == drawn:
        page.wait_for_timeout(20)
    return float(page.evaluate(f"{REFRESHES}.at(-1).duration")) / 1000


def _zones(folder: Path) -> Path:
    lookup = read_lookup(write_zone_files(folder))
    shapes = read_shapes(folder / "taxi_zones.zip")
    return write_zones(lookup, shapes, read_rules(folder), folder / "zones.parquet")
