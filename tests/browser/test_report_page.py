"""The page of `make report` in Chromium, offline, on the data of `make demo`.

With NYC_TAXI_TEST_PICTURES=docs the pictures of the README are renewed.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from synthetic_tlc.demo import demo
from tests.support.report_pages import (
    PHONE,
    make_page,
    opened,
    serious_problems,
    shows,
)

PICTURES = os.environ.get("NYC_TAXI_TEST_PICTURES")
pytestmark = pytest.mark.timeout(300)
RAW = """
    SELECT pickup, dropoff, PULocationID AS zone, total_amount, fare_amount, tip_amount,
        tolls_amount, service, make_date(2024, CAST(month AS INT), 1) AS month
    FROM (
      SELECT *, coalesce(tpep_pickup_datetime, lpep_pickup_datetime) AS pickup,
        coalesce(tpep_dropoff_datetime, lpep_dropoff_datetime) AS dropoff,
        regexp_extract(filename, '(\\w+)_tripdata_2024-(\\d\\d)', 1) AS service,
        regexp_extract(filename, '(\\w+)_tripdata_2024-(\\d\\d)', 2) AS month
      FROM read_parquet('{folder}/*.parquet', union_by_name = true, filename = true)
    )"""
KEPT = """
    dropoff >= pickup AND dropoff - pickup <= INTERVAL 2 DAY
    AND pickup >= month - INTERVAL 31 DAY
    AND pickup < month + INTERVAL 1 MONTH + INTERVAL 31 DAY
    AND greatest(abs(total_amount), abs(fare_amount)) <= 10000
    AND greatest(abs(tip_amount), abs(tolls_amount)) <= 10000"""


@pytest.fixture(scope="session")
def demo_folder(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    demo(folder)
    return folder


@pytest.fixture
def page(browser: Browser, demo_folder: Path) -> Iterator[Page]:
    with opened(browser, demo_folder / "report.html") as page:
        yield page


@pytest.fixture
def raw(demo_folder: Path) -> Any:
    """Return trips and dollars of the raw files, without the rows that the rules reject."""

    def query(where: str = "true") -> tuple[int, float]:
        files = RAW.format(folder=demo_folder / "site" / "trip-data")
        [found] = duckdb.execute(
            f"SELECT count(*), sum(total_amount) FROM ({files}) WHERE {KEPT} AND {where}"
        ).fetchall()
        return found

    return query


def choose(page: Page, name: str, value: str) -> None:
    page.get_by_role("combobox", name=name, exact=True).select_option(value)


def dollars(page: Page) -> int:
    return int(re.sub(r"\D", "", page.locator("#about-revenue").inner_text()))


def zone_mark(page: Page, name: str) -> Locator:
    return page.locator(f"#chart-zones path[aria-label^='{name}']")


def test_totals_are_those_of_the_raw_files(page: Page, raw: Any, demo_folder: Path) -> None:
    count, amount = raw()
    shows(page, count)
    assert dollars(page) == round(amount)
    expect(page.locator("#about-trips")).to_have_text(f"{count:,}")
    rows = page.locator("#loaded tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first.locator("td").nth(1)).to_have_text("200,000")


def test_every_filter_changes_the_numbers(page: Page, raw: Any) -> None:
    page.get_by_role("checkbox", name="green").uncheck()
    shows(page, raw("service = 'yellow'")[0])
    choose(page, "Month", "2")
    count, amount = raw("month = '2024-02-01'")
    shows(page, count)
    assert dollars(page) == round(amount)
    choose(page, "Year", "2024")
    expect(page.locator("#answer-trend")).to_contain_text("The busiest day is")
    choose(page, "Zone", "161")
    shows(page, raw("month = '2024-02-01' AND zone = 161")[0])
    expect(page.locator("#panel-payments [data-filter=zone]")).to_have_class("active")
    expect(page.locator("#panel-week [data-filter=month]")).to_have_class("active")
    page.locator("#panel-week summary").click()
    hours = page.locator("#panel-week tbody td:last-child").all_inner_texts()
    of_zone = sum(int(hour.replace(",", "")) for hour in hours)
    assert of_zone == raw("service = 'yellow' AND zone = 161")[0]
    page.get_by_role("radio", name="revenue").check()
    expect(page.locator("#note-zones")).to_contain_text("Dollars: Feb 2024; leaves out 60")
    page.get_by_role("button", name="Show all").click()
    shows(page, raw()[0])
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    shows(page, 0)
    expect(page.locator("#answer-trend")).to_have_text("No month is loaded for this choice.")


def test_link_carries_the_filters(
    browser: Browser, demo_folder: Path, page: Page, raw: Any
) -> None:
    page.get_by_role("checkbox", name="green").uncheck()
    choose(page, "Month", "1")
    choose(page, "Zone", "161")
    page.get_by_role("radio", name="revenue").check()
    expect(page.locator("#note-zones")).to_contain_text("Dollars")
    link = "#" + page.url.split("#")[1]
    with opened(browser, demo_folder / "report.html", link) as other:
        shows(other, raw("service = 'yellow' AND month = '2024-01-01' AND zone = 161")[0])
        expect(other.get_by_role("radio", name="revenue")).to_be_checked()
        expect(other.locator("#answer-zones")).to_have_text(
            page.locator("#answer-zones").inner_text()
        )
    bad = "#service=taxi&year=1999&month=13&zone=<b>&show=all"
    with opened(browser, demo_folder / "report.html", bad) as other:
        shows(other, raw()[0])
        expect(other.get_by_role("status")).to_contain_text("service and year and month and zone")
        expect(other.get_by_role("combobox", name="Year")).to_have_value("")


def test_map_and_calendar_filter_by_pointer(page: Page, raw: Any) -> None:
    zone = zone_mark(page, "Midtown Center")
    zone.hover()
    expect(page.locator("#tip")).to_contain_text("Midtown Center")
    zone.click()
    expect(page.get_by_role("combobox", name="Zone")).to_have_value("161")
    shows(page, raw("zone = 161")[0])
    zone.click()
    shows(page, raw()[0])
    page.locator("#chart-months path[aria-label^='Feb 2024']").click()
    shows(page, raw("month = '2024-02-01'")[0])


def test_map_is_used_with_the_keyboard(page: Page) -> None:
    choose(page, "Theme", "dark")
    page.locator("#chart-zones path[tabindex='0']").focus()
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert second != first
    expect(page.locator("#tip")).to_contain_text(second.split(":")[0])
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text(f"picked up in {second.split(':')[0]}")
    expect(page.locator("#chart-zones path:focus")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Space")
    expect(page.get_by_role("combobox", name="Zone")).to_have_value("")


def test_numbers_are_a_table_a_copy_and_a_csv(page: Page, tmp_path: Path, raw: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for details in page.locator("details.numbers").all():
        if details.is_visible():
            details.locator("summary").click()
            expect(details.locator("table")).to_be_visible()
    panel = page.locator("#panel-zones")
    with page.expect_download() as download:
        panel.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "zones.csv")
    with (tmp_path / "zones.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["trips"]) for row in rows) == raw()[0]
    assert {int(row["zone"]): int(row["trips"]) for row in rows}[161] == raw("zone = 161")[0]
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines()[0] == "zone\tname\tborough\ttrips\tdollars"
    assert len(copied.splitlines()) == len(rows) + 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_page_is_accessible(browser: Browser, demo_folder: Path, theme: Any, size: str) -> None:
    options: dict[str, Any] = {"viewport": PHONE} if size == "phone" else {}
    with opened(browser, demo_folder / "report.html", color_scheme=theme, **options) as page:
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= (390 if size == "phone" else 1280)
        for panel in ("zones", "months", "quality"):  # each table has the same form
            page.locator(f"#panel-{panel} summary").click()
        page.locator("#loaded summary").click()
        assert serious_problems(page) == []


def test_page_is_complete_on_paper(page: Page, tmp_path: Path) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("#loaded table")).to_be_visible()
    expect(page.locator("#filters")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf(path=tmp_path / "page.pdf")) > 50_000


def test_dark_theme_prints_dark_on_white(page: Page) -> None:
    choose(page, "Theme", "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 27, 24)"


@pytest.mark.parametrize(
    ("zone", "locale"),
    [
        ("Asia/Kolkata", "tr-TR"),
        ("Asia/Beirut", "ar-EG"),
        ("Pacific/Auckland", "de-DE"),
        ("Pacific/Honolulu", "fr-FR"),
    ],
)
def test_page_is_the_same_in_every_time_zone_and_language(
    browser: Browser, demo_folder: Path, page: Page, zone: str, locale: str
) -> None:
    place = {"timezone_id": zone, "locale": locale}
    with opened(browser, demo_folder / "report.html", **place) as other:
        expect(other.locator(".tiles")).to_have_text(page.locator(".tiles").text_content() or "")
        for answer in ("trend", "air", "week", "rain"):
            text = page.locator(f"#answer-{answer}").inner_text()
            expect(other.locator(f"#answer-{answer}")).to_have_text(text)


def test_chart_that_was_hidden_has_the_width_of_its_panel(page: Page) -> None:
    for service in page.get_by_role("checkbox").all():
        service.uncheck()
    expect(page.locator("#chart-payments")).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("checkbox", name="yellow").check()
    expect(page.locator("#chart-payments")).to_be_visible()
    page.wait_for_timeout(200)
    box = page.locator("#chart-payments svg").bounding_box()
    assert box and 250 < box["width"] < 390


def test_old_browser_says_so(browser: Browser, demo_folder: Path) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto((demo_folder / "report.html").as_uri())
    expect(page.get_by_role("status")).to_contain_text(
        "open the page in a browser of 2023 or later"
    )
    context.close()


def test_page_is_small_and_the_same_each_time(demo_folder: Path, tmp_path: Path) -> None:
    page = demo_folder / "report.html"
    again = make_page(demo_folder / "warehouse.duckdb", tmp_path / "report.html")
    assert page.stat().st_size < 1_500_000
    assert again.read_bytes() == page.read_bytes()


def copied(demo_folder: Path, folder: Path, *statements: str) -> Path:
    """Change a copy of the demo's warehouse; returns its page."""
    path = folder / "warehouse.duckdb"
    path.write_bytes((demo_folder / "warehouse.duckdb").read_bytes())
    with duckdb.connect(str(path)) as db:
        for statement in statements:
            db.execute(statement)
    return make_page(path, folder / "report.html")


def test_text_in_a_name_is_only_text(browser: Browser, demo_folder: Path, tmp_path: Path) -> None:
    hostile = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'"&'
    quoted = hostile.replace("'", "''")
    path = copied(
        demo_folder,
        tmp_path,
        f"UPDATE gold.dim_zone SET zone = '{quoted}', borough = '{quoted}' WHERE zone_id = 161",
        "UPDATE gold.dim_zone SET zone = '=HYPERLINK(\"http://127.0.0.1\")' WHERE zone_id = 1",
    )
    with opened(browser, path, "#zone=161") as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        expect(page.get_by_role("status")).to_contain_text(f"picked up in {hostile}")
        page.locator("#chart-zones path[aria-pressed=true]").hover()
        expect(page.locator("#tip b")).to_have_text(hostile)
        expect(page.locator("#filters option[value='161']")).to_have_text(hostile)
        assert page.locator("img, iframe, object").count() == 0
        page.locator("#panel-zones summary").click()
        with page.expect_download() as download:
            page.locator("#panel-zones .csv").click()
        text = Path(download.value.path()).read_text("utf-8-sig")
        assert "\n1,\"'=HYPERLINK" in text


def test_what_is_missing_is_said(browser: Browser, demo_folder: Path, tmp_path: Path) -> None:
    path = copied(
        demo_folder,
        tmp_path,
        "DROP TABLE dezoomcamp.zones",
        "UPDATE gold.trips_and_air_by_day SET air_hours = NULL, us_aqi_max = NULL,"
        " pm2_5_mean = NULL WHERE pickup_date >= DATE '2024-02-01'",
    )
    with opened(browser, path, "#month=2") as page:
        expect(page.locator("#note-zones")).to_contain_text("the zone shapes are not loaded")
        expect(page.locator("#answer-air")).to_have_text(
            "No air quality is loaded for this choice."
        )
        choose(page, "Month", "")
        expect(page.locator("#note-air")).to_have_text("29 days without air quality.")
        expect(page.locator("#answer-companies")).to_contain_text("No month of fhvhv is loaded")


def test_one_month_is_enough(browser: Browser, demo_folder: Path, tmp_path: Path, raw: Any) -> None:
    tables = (
        *("month_quality", "trips_by_hour", "trips_by_route", "trips_by_payment", "rejections"),
        *("trips_by_zone_hour", "trips_and_air_by_day"),
        "unknown_codes",
    )
    keep = "service = 'green'"
    path = copied(
        demo_folder, tmp_path, *(f"DELETE FROM gold.{t} WHERE NOT {keep}" for t in tables)
    )
    with opened(browser, path) as page:
        shows(page, raw(keep)[0])
        assert page.locator(".filters [name=service]").count() == 1


def test_empty_warehouse_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    path = make_page(tmp_path / "none.duckdb", tmp_path / "report.html")
    assert path.stat().st_size < 20_000
    with opened(browser, path) as page:
        expect(page.locator("main")).to_contain_text("python -m lakehouse.full_pipeline.flow")
        assert serious_problems(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_taken(
    browser: Browser, demo_folder: Path, tmp_path: Path, theme: Any
) -> None:
    folder = Path(PICTURES or tmp_path)
    with opened(browser, demo_folder / "report.html", color_scheme=theme) as page:
        picture = folder / f"report-{theme}.png"
        page.screenshot(
            path=picture, clip={"x": 0, "y": 0, "width": 1280, "height": 1500}, full_page=True
        )
    assert 20_000 < picture.stat().st_size < 250_000
