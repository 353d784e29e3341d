"""Maintain the warehouse: free space, refresh statistics, drop what killed builds have left.

Run it with `python flows/lakehouse/maintenance/flow.py` or `python -m lakehouse.maintenance.flow`.
"""

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.run_months import check_stores

from .tasks import drop_leftovers, maintain


@flow(name="maintenance")
def maintenance() -> None:
    """Drop the tables of unfinished builds, then run VACUUM or CHECKPOINT."""
    check_stores("warehouse")
    drop_leftovers()
    maintain()


if __name__ == "__main__":
    command(maintenance, "warehouse")
