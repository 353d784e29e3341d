"""Tasks of the flow; nyc_taxi/transform has dbt and the warehouses."""

import time
from typing import Annotated

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.orchestration.artifacts import publish_reports
from nyc_taxi.orchestration.node_reports import node_reports
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.transform import build
from nyc_taxi.transform.build import Staged
from nyc_taxi.transform.metrics import LayerMetrics, measure_gold
from nyc_taxi.trips.ui_field import ui_field

Mode = Annotated[
    build.GoldMode,
    ui_field("all; facts: without the dimensions; dims: the dimensions alone."),
]


@task(cache_policy=NO_CACHE, **RETRIES)
def find_waiting() -> Staged:
    """Return the months of silver that are built and tested, but not published."""
    return build.read_staged(build.open_dbt())


def show_plan(waiting: Staged) -> None:
    for month in waiting.months:
        print(f"{month:%Y-%m}: silver is built and waits for gold")
    for stale in build.find_stale_months(build.open_dbt(), "incremental"):
        if stale.first_day not in waiting.months:
            print(f"{stale}; run the flow silver first")


@task(cache_policy=NO_CACHE, task_run_name="dbt gold {mode}")
def build_gold(mode: build.GoldMode) -> LayerMetrics:
    """Build and test gold aside, then publish, once no other build of this warehouse is running."""
    dbt, started = build.open_dbt(), time.monotonic()
    with dbt.target.lock(), node_reports("gold") as report:
        staged = build.read_staged(dbt)
        if not staged.is_due(mode):
            return LayerMetrics("gold")
        build.build_gold(dbt, mode, staged, report)
        metrics = measure_gold(dbt, build.PARTS[mode], time.monotonic() - started)
        build.publish(dbt, mode, staged)
    get_run_logger().info("%s", metrics)
    publish_reports([metrics], key="gold-metrics")
    return metrics
