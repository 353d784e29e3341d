"""The page of the flow `report`; in Chromium, offline: what it asks for and logs fails the test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nyc_taxi.report.page import render_page, write_page
from nyc_taxi.report.payload import make_payload
from nyc_taxi.report.queries import read_gold, read_stale
from nyc_taxi.transform.targets.bigquery import BigQueryTarget
from nyc_taxi.transform.targets.duckdb import DuckDBTarget
from nyc_taxi.transform.targets.postgres import PostgresTarget
from nyc_taxi.transform.targets.registry import open_target
from nyc_taxi.transform.targets.spark import SparkTarget
from tests.support.lakehouses import Lakehouse
from tests.support.services import NO_SERVICE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
DESKTOP = {"width": 1280, "height": 1000}
PHONE = {"width": 390, "height": 844}
TARGETS: dict[str, Any] = {
    "BigQueryWarehouse": BigQueryTarget,
    "DuckDBWarehouse": lambda warehouse: DuckDBTarget(warehouse.path),
    "PostgresWarehouse": PostgresTarget,
    "SparkWarehouse": SparkTarget,
}


def page_of(lakehouse: Lakehouse) -> str:
    """Return the page of what is in gold, without the warehouse's name and the stale months."""
    target = TARGETS[type(lakehouse.warehouse).__name__](lakehouse.warehouse)
    return render_page(make_payload(read_gold(target), []), "gold")


def make_page(warehouse: Path, target: Path) -> Path:
    """Write the page of a DuckDB warehouse."""
    place = open_target(f"duckdb:{warehouse}")
    gold = read_gold(place)
    payload = make_payload(gold, read_stale(place)) if gold else None
    return write_page(payload, f"duckdb:{warehouse}", target)


@contextmanager
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip(f"{NO_SERVICE}no Chromium; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, link: str = "", **options: Any) -> Iterator[Page]:
    """Open the page from the disk; fail if it asks for anything else or logs an error."""
    context = browser.new_context(offline=True, **{"viewport": DESKTOP, **options})
    page = context.new_page()
    page.set_default_timeout(15_000)
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    page.goto(path.as_uri() + link)
    page.locator("html[data-ready='1'], main.empty").first.wait_for(state="attached")
    yield page
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []


def shows(page: Page, trips: int) -> None:
    """Wait until the status line has this number of trips."""
    from playwright.sync_api import expect

    expect(page.get_by_role("status")).to_have_text(re.compile(rf"^{trips:,} trips? in"))


def serious_problems(page: Page) -> list[str]:
    """Return the rules of axe-core that the page breaks seriously, each with an element."""
    spec = find_spec("axe_playwright_python")
    assert spec
    assert spec.origin
    script = (Path(spec.origin).parent / "axe.min.js").read_text()
    page.evaluate(f"() => {{ {script}; window.axe = axe; }}")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", tags)
    return [
        f"{rule['id']}: {node['html'][:200]}: {node['failureSummary'][:300]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:1]
    ]
