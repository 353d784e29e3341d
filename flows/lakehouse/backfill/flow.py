"""Sources -> gold for a range of dates, chunk by chunk; a rerun resumes where it stopped.

Run it with `python flows/lakehouse/backfill/flow.py` or `python -m lakehouse.backfill.flow`.
"""

from typing import Annotated

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.params import FirstDay, LastDay
from nyc_taxi.orchestration.run_months import check_stores
from nyc_taxi.trips.ui_field import ui_field

from .chunks import ChunkMode
from .tasks import plan_chunks, run_chunks

Chunks = Annotated[ChunkMode, ui_field("What one step loads, builds and publishes.")]


@flow(name="backfill", flow_run_name="{start_date} to {end_date}, {chunk_mode}")
def backfill(start_date: FirstDay, end_date: LastDay, chunk_mode: Chunks = "monthly") -> int:
    """Load, build and publish a range of dates again, one chunk after the other.

    A failed chunk does not stop the others. A rerun with the same parameters does what is left.

    Args:
        chunk_mode: monthly, weekly or daily.
    """
    check_stores("lake", "warehouse")
    done = run_chunks(plan_chunks(start_date, end_date, chunk_mode))
    print(f"chunks done: {done}")
    return done


if __name__ == "__main__":
    command(backfill, "lake", "warehouse")
