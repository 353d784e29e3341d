"""Tasks of the flow; each target in nyc_taxi/transform knows what its warehouse needs."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.transform import build


@task(cache_policy=NO_CACHE, **RETRIES)
def drop_leftovers() -> None:
    """Drop the tables of unfinished builds, unless silver waits there for gold."""
    dbt = build.open_dbt()
    with dbt.target.lock():
        waiting = build.read_staged(dbt).months
        if not waiting:
            build.drop_built_aside(dbt)
    kept = f"kept: {len(waiting)} months of silver wait for gold" if waiting else "dropped"
    get_run_logger().info("tables of unfinished builds: %s", kept)


@task(cache_policy=NO_CACHE, **RETRIES)
def maintain() -> None:
    """Do what the warehouse needs, once no build is running."""
    target = build.open_dbt().target
    with target.lock():
        get_run_logger().info("%s", target.maintain())
