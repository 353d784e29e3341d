"""The UI's quick run, clicked in Chromium; NYC_TAXI_SCREENSHOT=<png> saves a screenshot there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from nyc_taxi.trips.months import TripMonth
from tests.support.prefect_systems import System


def test_quick_run_completes(
    system: System, page: Page, month_file: Callable[..., Path], tmp_path: Path
) -> None:
    for month in (1, 2):
        shutil.copy(month_file(TripMonth("yellow", 2021, month), 2000), system.folder / "site")
    with system.client as client:
        deployment = client.read_deployment_by_name("etl-parent-flow/docker-flow")

        before = {run.id for run in client.read_flow_runs()}
        ui = system.env["PREFECT_API_URL"].removesuffix("/api")
        page.goto(f"{ui}/deployments/deployment/{deployment.id}")
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_text("Quick run").click()
        clicked = None
        while not clicked:  # until the test times out
            page.wait_for_timeout(200)
            runs = [run for run in client.read_flow_runs() if run.deployment_id == deployment.id]
            clicked = next((run for run in runs if run.id not in before), None)

    assert system.wait_until_final(clicked.id).state_name == "Completed"
    page.goto(f"{ui}/runs/flow-run/{clicked.id}")
    page.get_by_text("Completed").first.wait_for()
    picture = Path(os.environ.get("NYC_TAXI_SCREENSHOT", tmp_path / "quick-run.png"))
    page.wait_for_timeout(4000)  # the timeline is animated
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 1280, "height": 505})
    assert picture.stat().st_size > 20_000
