"""One month that was loaded again, in a process that has built another one before."""

from pathlib import Path

import duckdb

from bench.contenders import lakehouse_build

LOAD_AGAIN = "UPDATE dezoomcamp.loads SET load_id = 'new' WHERE trip_month = CAST(? AS DATE)"


def prepare(warehouse: Path) -> None:
    lakehouse_build.prepare(warehouse)
    _load_again(warehouse, "2021-04-01")
    lakehouse_build.run(warehouse)
    _load_again(warehouse, "2021-05-01")


def run(warehouse: Path) -> None:
    lakehouse_build.run(warehouse)


def _load_again(warehouse: Path, month: str) -> None:
    with duckdb.connect(warehouse) as db:
        db.execute(LOAD_AGAIN, [month])
