"""The lakehouse on YARN and HDFS equals the one on DuckDB, row by row, through failures too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clusters import YEAR, Cluster, until
from tests.support.lakehouses import on_duckdb, on_spark

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
PIPELINE = "flows/lakehouse/full_pipeline/flow.py"
DATES = ("--start-date", f"{YEAR}-01-01", "--end-date", f"{YEAR}-02-29")


@pytest.fixture(scope="session")
def expected(
    tmp_path_factory: pytest.TempPathFactory, sources: dict[str, str]
) -> Callable[[Cluster], dict[str, object]]:
    """The tables of the same pipeline on DuckDB, built once."""
    folder = tmp_path_factory.mktemp("duckdb")
    found: dict[str, object] = {}

    def build(cluster: Cluster) -> dict[str, object]:
        if not found:
            env = {
                "NYC_TAXI_WAREHOUSE": f"duckdb:{folder / 'warehouse.duckdb'}",
                "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
            }
            cluster.python(PIPELINE, *DATES, **env)
            found.update(on_duckdb(folder).state())
        return found

    return build


def assert_equal(cluster: Cluster, expected: dict[str, object], folder: Path) -> None:
    lakehouse = on_spark(folder, "nyc")
    for table, rows in expected.items():
        assert lakehouse.rows(table) == rows, table


def test_pipeline_killed_and_rerun_on_yarn_equals_duckdb(
    cluster: Cluster,
    expected: Callable[[Cluster], dict[str, object]],
    spark: object,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A run killed while it builds silver, and a rerun, give the tables of one clean run."""
    wanted = expected(cluster)
    killed = cluster.submit(PIPELINE, *DATES)
    assert until(lambda: "silver" in killed.output(), 400), killed.output()
    killed.kill()
    run = cluster.submit(PIPELINE, *DATES)
    assert run.wait() == 0, run.output()
    monkeypatch.setenv("WAREHOUSE_URI", cluster.env["WAREHOUSE_URI"])
    assert_equal(cluster, wanted, tmp_path)
