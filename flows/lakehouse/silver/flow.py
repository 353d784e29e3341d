"""Bronze -> silver: build the stale months aside and test them; gold publishes both layers.

Run it with `python flows/lakehouse/silver/flow.py` or `python -m lakehouse.silver.flow`.
"""

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.params import PlanOnly, TripMonths
from nyc_taxi.orchestration.run_months import check_stores
from nyc_taxi.transform.metrics import LayerMetrics

from .tasks import Mode, build_silver, find_stale, show_plan


@flow(name="silver", flow_run_name="{mode}")
def silver(
    mode: Mode = "incremental", months: TripMonths = None, plan: PlanOnly = False
) -> LayerMetrics:
    """Build silver for the months that changed, next to the published tables, and test it.

    Args:
        mode: incremental builds the months that are stale; full builds all months.
    """
    check_stores("warehouse")
    stale = find_stale(mode, months)
    show_plan(stale)
    built = build_silver(mode, months) if stale and not plan else LayerMetrics("silver")
    print(f"silver: {built.rows_out} rows built and tested; gold publishes them")
    return built


if __name__ == "__main__":
    command(silver, "warehouse")
