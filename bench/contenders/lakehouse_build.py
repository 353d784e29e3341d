"""Bronze to published silver and gold, with all tests, as the flows do it without Prefect."""

import sys
import time
from pathlib import Path

from bench.memory_use import resident
from nyc_taxi.transform import build
from nyc_taxi.transform.dbt import Dbt, Node
from nyc_taxi.transform.plan import batches
from nyc_taxi.transform.targets.registry import open_target


def run(warehouse: Path, *given: Path) -> None:
    """Build what is stale. With more than one argument: month by month, printing the memory."""
    dbt = Dbt(open_target(f"duckdb:{warehouse}"))
    dbt.parse()  # a warm process
    for batch in batches(build.find_stale_months(dbt, "incremental"), 1 if given else 10**9):
        began = time.perf_counter()
        build.build_silver(dbt, batch, _ignore)
        staged = build.read_staged(dbt)
        build.build_gold(dbt, "all", staged, _ignore)
        build.publish(dbt, "all", staged)
        seconds = time.perf_counter() - began
        print(f"{batch[0].first_day:%Y-%m} {seconds:.1f} s {resident():.0f} MB", file=sys.stderr)


def _ignore(node: Node, total: int) -> None:
    pass
