"""Sources -> lake -> bronze -> silver -> gold, in one run.

Run it with `python flows/lakehouse/full_pipeline/flow.py` or
`python -m lakehouse.full_pipeline.flow`.
"""

from typing import Annotated

from nyc_taxi.cli import command

from prefect import flow

from lakehouse.bronze.flow import bronze
from lakehouse.bronze.plan import Mode as BronzeMode
from lakehouse.layers import build_layers
from lakehouse.silver.tasks import Mode as SilverMode
from lakehouse.silver.tasks import find_stale, show_plan
from nyc_taxi.orchestration.params import EndDate, PlanOnly, StartDate
from nyc_taxi.orchestration.run_months import check_stores
from nyc_taxi.trips.ui_field import ui_field

Hourly = Annotated[bool, ui_field("Only the last days: hours are revised until then.")]


@flow(name="full-pipeline", flow_run_name="{bronze_mode}")
def full_pipeline(
    hourly: Hourly = False,
    bronze_mode: BronzeMode = "upsert",
    silver_mode: SilverMode = "incremental",
    start_date: StartDate = None,
    end_date: EndDate = None,
    plan: PlanOnly = False,
) -> int:
    """Load what is new into bronze, then build and publish silver and gold of what changed."""
    check_stores("lake", "warehouse")
    ...
    return 0


if __name__ == "__main__":
    command(full_pipeline, "lake", "warehouse")
