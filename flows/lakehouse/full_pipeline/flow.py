"""Sources -> lake -> bronze -> silver -> gold, in one run.

Run it with `python flows/lakehouse/full_pipeline/flow.py` or
`python -m lakehouse.full_pipeline.flow`.
"""

from nyc_taxi.cli import command

from prefect import flow

from lakehouse.bronze.plan import Mode as BronzeMode
from lakehouse.layers import build_layers
from lakehouse.silver.tasks import Mode as SilverMode
from lakehouse.silver.tasks import find_stale, show_plan
from nyc_taxi.orchestration.artifacts import publish_reports
from nyc_taxi.orchestration.params import EndDate, PlanOnly, StartDate
from nyc_taxi.orchestration.run_months import check_stores

from .tasks import Hourly, first_day, load_bronze


@flow(name="full-pipeline", flow_run_name="{bronze_mode}, {silver_mode}")
def full_pipeline(
    hourly: Hourly = False,
    bronze_mode: BronzeMode = "upsert",
    silver_mode: SilverMode = "incremental",
    start_date: StartDate = None,
    end_date: EndDate = None,
    plan: PlanOnly = False,
) -> None:
    """Load bronze, then build and publish silver and gold of the months that changed.

    Args:
        bronze_mode: upsert loads what is new, replaced or still revised; backfill: everything.
        silver_mode: incremental builds the months that are stale; full builds all months.
    """
    check_stores("lake", "warehouse")
    if plan:
        show_plan(find_stale(silver_mode, None))
        return
    loaded = load_bronze(bronze_mode, first_day(hourly, start_date), end_date)
    built = build_layers(silver_mode)
    publish_reports([loaded, *built], key="full-pipeline-metrics")


if __name__ == "__main__":
    command(full_pipeline, "lake", "warehouse")
