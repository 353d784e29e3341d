"""Silver -> gold: build facts and dimensions aside, test them, and publish silver and gold.

Run it with `python flows/lakehouse/gold/flow.py` or `python -m lakehouse.gold.flow`.
"""

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.params import PlanOnly
from nyc_taxi.orchestration.run_months import check_stores
from nyc_taxi.transform.metrics import LayerMetrics

from .tasks import Mode, build_gold, find_waiting, show_plan


@flow(name="gold", flow_run_name="{mode}")
def gold(mode: Mode = "all", plan: PlanOnly = False) -> LayerMetrics:
    """Build gold for the months that silver has built, and publish both in one transaction.

    Args:
        mode: all; facts: without the dimensions; dims: the dimensions alone.
    """
    check_stores("warehouse")
    waiting = find_waiting()
    show_plan(waiting)
    published = build_gold(mode) if waiting.is_due(mode) and not plan else LayerMetrics("gold")
    print(f"gold: {published.rows_out} rows published")
    return published


if __name__ == "__main__":
    command(gold, "warehouse")
