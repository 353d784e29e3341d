"""Bronze tables and the small dbt project for tests of builds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from nyc_taxi.transform import build
from nyc_taxi.transform.dbt import Dbt, Node
from nyc_taxi.transform.targets.registry import open_target
from tests.support.processes import ROOT
from tests.support.warehouses import EmptyWarehouse

PROJECT = ROOT / "tests" / "support" / "dbt_project"
BUILD_SCRIPT = """
from pathlib import Path
from nyc_taxi.transform import build
from nyc_taxi.transform.dbt import Dbt
from nyc_taxi.transform.targets.registry import open_target
dbt = Dbt(open_target({address!r}), Path({project!r}))
report = lambda node, total: print(node.name, flush=True)
with dbt.target.lock():
    print("locked", flush=True)
    build.build_silver(dbt, build.find_stale_months(dbt, "incremental"), report)
    staged = build.read_staged(dbt)
    if staged.is_due("all"):
        build.build_gold(dbt, "all", staged, report)
        print("publish", flush=True)
        build.publish(dbt, "all", staged)
print("published", flush=True)
"""
"""Python code that builds and publishes what is stale; a test can kill it after a line."""
JANUARY, FEBRUARY = date(2021, 1, 1), date(2021, 2, 1)


def on_postgres_url(url: str) -> SmallLakehouse:
    """The small project in the database at `url`."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(url)) as db, db.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSTGRES_URL", url)
        return SmallLakehouse(EmptyWarehouse("postgres:no-such-block", query))


class SmallLakehouse:
    """A warehouse with bronze trips that have a fare, and the small project's silver and gold."""

    def __init__(self, warehouse: EmptyWarehouse, project: Path = PROJECT) -> None:
        self.query = warehouse.query
        self.address = warehouse.address
        self.dbt = Dbt(open_target(warehouse.address), project)
        self.nodes: list[Node] = []
        self.dbt.target.warehouse.create_loads()
        self.dbt.target.execute(
            f"CREATE TABLE dezoomcamp.yellow_rides (trip_month DATE, fare {self._double})"
        )

    @property
    def _double(self) -> str:
        return "DOUBLE PRECISION" if self.address.startswith("postgres") else "DOUBLE"

    def unpublished(self) -> list[str]:
        """Return the tables `_next` that are left."""
        if self.address.startswith("spark"):
            schemas = {name for (name,) in self.query("SHOW NAMESPACES")} & {"silver", "gold"}
            rows = [row for schema in schemas for row in self.query(f"SHOW TABLES IN {schema}")]
            return [row[1] for row in rows if row[1].endswith("_next")]
        sql = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%_next'"
        return [name for (name,) in self.query(sql)]

    def load(self, month: date, fares: Sequence[float], load_id: str) -> None:
        """Replace a month in bronze."""
        is_month = f"trip_month = DATE '{month}'"
        trips = ", ".join(f"(DATE '{month}', {fare})" for fare in fares)
        self.dbt.target.execute(
            f"DELETE FROM dezoomcamp.yellow_rides WHERE {is_month}",
            f"DELETE FROM dezoomcamp.loads WHERE {is_month}",
            f"INSERT INTO dezoomcamp.yellow_rides VALUES {trips}",
            "INSERT INTO dezoomcamp.loads (table_name, trip_month, row_count, load_id, loaded_at)"
            f" VALUES ('yellow_rides', DATE '{month}', {len(fares)}, '{load_id}',"
            " TIMESTAMP '2021-03-01 00:00:00')",
        )

    def stale(self) -> list[str]:
        return [str(month) for month in build.find_stale_months(self.dbt, "incremental")]

    def build(self, mode: build.SilverMode = "incremental") -> None:
        stale = build.find_stale_months(self.dbt, mode)
        build.build_silver(self.dbt, stale, self._report)
        self.build_gold()

    def build_gold(self) -> None:
        staged = build.read_staged(self.dbt)
        build.build_gold(self.dbt, "all", staged, self._report)
        build.publish(self.dbt, "all", staged)

    def published(self) -> list[tuple[Any, ...]]:
        """Return month, trips, rejected, and trips in gold."""
        return self.query(
            "SELECT CAST(trip_month AS VARCHAR(10)), sum(kept), sum(rejected), sum(counted) FROM ("
            "SELECT trip_month, 1 AS kept, 0 AS rejected, 0 AS counted FROM silver.trips UNION ALL "
            "SELECT trip_month, 0, 1, 0 FROM silver.trips_rejected UNION ALL "
            "SELECT trip_month, 0, 0, trips FROM gold.trips_by_month) AS everything "
            "GROUP BY trip_month ORDER BY trip_month"
        )

    def storage(self, table: str) -> list[tuple[Any, ...]]:
        """Return where the rows of a table are stored."""
        if self.address.startswith("duckdb"):
            return self.query(
                f"SELECT block_id, block_offset FROM pragma_storage_info('{table}') ORDER BY ALL"
            )
        return self.query(f"SELECT pg_relation_filenode('{table}')")

    def script(self) -> str:
        return BUILD_SCRIPT.format(address=self.address, project=str(self.dbt.folder))

    def _report(self, node: Node, total: int) -> None:
        self.nodes.append(node)
