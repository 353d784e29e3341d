"""The page where people open it: odd folders, frames, small windows, browsers with less."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect

from synthetic_tlc.gold import write_gold
from tests.support.report_pages import make_page, opened

pytestmark = pytest.mark.timeout(300)
MONTHS = [("yellow", date(2024, 1, 1)), ("yellow", date(2024, 2, 1)), ("green", date(2024, 1, 1))]
ODD = "a b#c%20d ü'&"
FRAME = """<button onclick="document.querySelector('iframe').style.display = 'block'">Show</button>
<iframe src="report.html" sandbox="allow-scripts" style="display:none; width:1000px; height:900px">
</iframe>"""


@pytest.fixture(scope="session")
def report(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_gold(folder / "warehouse.duckdb", MONTHS, None, scale=0.001)
    return make_page(folder / "warehouse.duckdb", folder / "report.html")


def february(page: Page) -> str:
    """Choose February; returns the line that says so."""
    page.get_by_role("combobox", name="Month", exact=True).select_option("2")
    expect(page.get_by_role("status")).to_contain_text("in 1 of 3 months")
    return str(page.get_by_role("status").inner_text())


def test_path_may_have_any_characters(browser: Browser, report: Path, tmp_path: Path) -> None:
    path = tmp_path / ODD / f"{ODD}.html"
    path.parent.mkdir()
    shutil.copy(report, path)
    with opened(browser, path) as page:
        chosen = february(page)
        page.reload()
        expect(page.get_by_role("status")).to_have_text(chosen)
        page.goto("about:blank")
        page.go_back()
        expect(page.get_by_role("status")).to_have_text(chosen)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def test_page_works_below_a_path_of_a_server(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    (tmp_path / ODD).mkdir()
    shutil.copy(report, tmp_path / ODD)
    with served(tmp_path) as site, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{site}/{quote(ODD)}/report.html?from=mail#month=2")
        expect(page.get_by_role("status")).to_contain_text("in 1 of 3 months")
        page.get_by_role("button", name="Show all").click()
        expect(page.get_by_role("status")).to_contain_text("in 3 of 3 months")
        assert page.url == f"{site}/{quote(ODD)}/report.html?from=mail"


def test_page_is_drawn_in_a_frame_that_was_hidden(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    """As marimo #10266: charts had no width once their tab was shown."""
    shutil.copy(report, tmp_path)
    (tmp_path / "frame.html").write_text(FRAME)
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.goto((tmp_path / "frame.html").as_uri())
        frame = page.frame_locator("iframe")
        frame.locator("html[data-ready='1']").wait_for(state="attached")
        page.get_by_role("button", name="Show").click()
        frame.get_by_role("combobox", name="Month", exact=True).select_option("2")
        expect(frame.get_by_role("status")).to_contain_text("in 1 of 3 months")
        box = frame.locator("#chart-trend svg").bounding_box()
        assert box
        assert 600 < box["width"] < 1000


def test_skip_link_keeps_the_filters(browser: Browser, report: Path) -> None:
    """As matomo #23060."""
    with opened(browser, report) as page:
        chosen = february(page)
        page.locator(".skip").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        expect(page.get_by_role("status")).to_have_text(chosen)


def test_show_all_keeps_the_theme(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        page.get_by_role("combobox", name="Theme").select_option("dark")
        february(page)
        page.get_by_role("button", name="Show all").click()
        expect(page.get_by_role("status")).to_contain_text("in 3 of 3 months")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(240, 238, 230)"


@pytest.mark.parametrize("width", [640, 320])
def test_magnified_page_is_not_cut(browser: Browser, report: Path, width: int) -> None:
    """A window of 1280 pixels at 200 and 400 %."""
    with opened(browser, report, viewport={"width": width, "height": 400}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_forced_colors_keep_the_colors_of_data(browser: Browser, report: Path) -> None:
    """As dfe-analytical-services/explore-education-statistics #4982."""
    with opened(browser, report, forced_colors="active") as page:
        for swatch in (".bars i", ".legend i", ".ramp i"):
            color = page.locator(swatch).first.evaluate("e => getComputedStyle(e).backgroundColor")
            assert color not in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"), swatch
        chip = page.locator(".chip:has(:checked)").first
        assert chip.evaluate("e => getComputedStyle(e).borderTopWidth") == "2px"


def test_page_without_javascript_has_its_table(browser: Browser, report: Path) -> None:
    with browser.new_context(offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        expect(page.locator("noscript p")).to_be_visible()
        for part in ("#filters", "#status", "#panel-trend"):
            expect(page.locator(part)).to_be_hidden()
        page.locator("#loaded summary").click()
        expect(page.locator("#loaded tbody tr")).to_have_count(3)


@pytest.mark.parametrize(("works", "said"), [("true", "Copied"), ("false", "Not allowed here")])
def test_copy_without_the_clipboard_api(
    browser: Browser, report: Path, works: str, said: str
) -> None:
    with opened(browser, report) as page:
        page.evaluate("delete Navigator.prototype.clipboard")
        page.evaluate(f"document.execCommand = () => {works}")
        page.locator("#panel-week summary").click()
        page.locator("#panel-week .copy").click()
        expect(page.locator("#panel-week .copy")).to_have_text(said)


def test_axis_of_few_trips_has_whole_numbers(browser: Browser, tmp_path: Path) -> None:
    """As vega #621: half a trip."""
    write_gold(tmp_path / "warehouse.duckdb", MONTHS[:1], None, scale=2e-6)
    with opened(
        browser, make_page(tmp_path / "warehouse.duckdb", tmp_path / "report.html")
    ) as page:
        labels = page.locator("#chart-trend .role-axis-label text").all_text_contents()
        numbers = [label for label in labels if label and not label.startswith("Jan")]
        assert numbers
        assert [number for number in numbers if not number.isdecimal()] == []


def test_zone_of_another_shape_file_is_not_drawn(browser: Browser, tmp_path: Path) -> None:
    square = "POLYGON ((-74 {0}, -73.9 {0}, -73.9 {1}, -74 {1}, -74 {0}))"
    zones = tmp_path / "zones.parquet"
    duckdb.execute(
        f"COPY (FROM (VALUES (7, 'Astoria', 'Queens', '{square.format(40, 41)}'),"
        f" (300, 'Elsewhere', 'Jersey', '{square.format(41, 42)}'))"
        f" AS zones(LocationID, Zone, Borough, geometry)) TO '{zones}'"
    )
    write_gold(tmp_path / "warehouse.duckdb", MONTHS[:1], zones, scale=0.001)
    with opened(
        browser, make_page(tmp_path / "warehouse.duckdb", tmp_path / "report.html")
    ) as page:
        expect(page.locator("#chart-zones path[aria-label]")).to_have_count(1)
        page.locator("#chart-zones path[aria-label]").hover()
        expect(page.locator("#tip")).to_contain_text("Astoria")
