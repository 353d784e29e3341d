"""Tasks of the flow; nyc_taxi/transform has the plan, dbt and the warehouses."""

import time
from collections.abc import Sequence
from typing import Annotated

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.orchestration.artifacts import publish_reports
from nyc_taxi.orchestration.node_reports import node_reports
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.transform import build
from nyc_taxi.transform.metrics import LayerMetrics, measure_silver
from nyc_taxi.transform.plan import StaleMonth
from nyc_taxi.trips.ui_field import ui_field

Mode = Annotated[
    build.SilverMode,
    ui_field("incremental: the months that are stale; full: all months."),
]


@task(cache_policy=NO_CACHE, **RETRIES)
def find_stale(mode: build.SilverMode, months: Sequence[str] | None) -> list[StaleMonth]:
    """Compare the loads and the definition with what was built."""
    return build.find_stale_months(build.open_dbt(), mode, months)


def show_plan(stale: Sequence[StaleMonth]) -> None:
    for month in stale:
        print(month)
    print(f"stale months: {len(stale)}")


@task(cache_policy=NO_CACHE, task_run_name="dbt silver")
def build_silver(mode: build.SilverMode, months: Sequence[str] | None) -> LayerMetrics:
    """Build and test silver aside, once no other build of this warehouse is running."""
    dbt, started = build.open_dbt(), time.monotonic()
    with dbt.target.lock(), node_reports("silver") as report:
        stale = build.find_stale_months(dbt, mode, months)
        if not stale:  # another build has published them in the meantime
            return LayerMetrics("silver")
        build.build_silver(dbt, stale, report)
        metrics = measure_silver(dbt, sum(m.rows for m in stale), time.monotonic() - started)
    get_run_logger().info("%s", metrics)
    publish_reports([metrics], key="silver-metrics")
    return metrics
