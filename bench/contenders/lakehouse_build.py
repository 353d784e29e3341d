"""Bronze to published silver and gold, with all tests, as the flows do it without Prefect."""

from pathlib import Path

from bench.contenders import lakehouse_start
from nyc_taxi.transform import build
from nyc_taxi.transform.dbt import Dbt, Node
from nyc_taxi.transform.plan import batches
from nyc_taxi.transform.targets.registry import open_target


def prepare(warehouse: Path, *_: Path) -> None:
    """Start dbt before the clock: a process does so once."""
    lakehouse_start.run(warehouse)


def run(warehouse: Path, *given: Path) -> None:
    """Build what is stale at once; with a second argument, month by month."""
    dbt = Dbt(open_target(f"duckdb:{warehouse}"))
    for batch in batches(build.find_stale_months(dbt, "incremental"), 1 if given else 10**9):
        with dbt.target.lock():
            build.build_silver(dbt, batch, _ignore)
        with dbt.target.lock():
            staged = build.read_staged(dbt)
            build.build_gold(dbt, "all", staged, _ignore)
            build.publish(dbt, "all", staged)


def _ignore(node: Node, total: int) -> None:
    pass
