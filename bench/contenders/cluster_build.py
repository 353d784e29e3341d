"""Bronze to published silver and gold in the warehouse of the settings, in the flows' batches."""

from pathlib import Path

from bench.contenders.cluster_load import wait_for_executors
from nyc_taxi.transform import build
from nyc_taxi.transform.dbt import Node
from nyc_taxi.transform.plan import batches


def prepare(folder: Path) -> None:
    """Start Spark and dbt before the clock: a process does so once."""
    build.open_dbt().parse()
    wait_for_executors()


def run(folder: Path) -> None:
    dbt = build.open_dbt()
    for number, batch in enumerate(batches(build.find_stale_months(dbt, "incremental"))):
        build.build_silver(dbt, batch, _ignore)
        staged = build.read_staged(dbt)
        mode: build.GoldMode = "facts" if number else "all"
        build.build_gold(dbt, mode, staged, _ignore)
        build.publish(dbt, mode, staged)


def _ignore(node: Node, total: int) -> None:
    pass
