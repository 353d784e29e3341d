"""The lakehouse on YARN and HDFS equals the one on DuckDB, row by row, whatever was killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from local_services.process import Service
from tests.support.clusters import YEAR, Cluster, Submitter
from tests.support.lakehouses import Lakehouse, on_duckdb, on_spark
from tests.support.processes import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]
FOLDER = "flows/lakehouse"
PIPELINE = f"{FOLDER}/full_pipeline/flow.py"
DATES = ("--start-date", f"{YEAR}-01-01", "--end-date", f"{YEAR}-02-29")


REAL = (
    ("--start-date", "2021-01-01", "--end-date", "2021-02-28"),
    ("--start-date", "2025-01-01", "--end-date", "2025-01-31"),
)
"""Months that the TLC has published: before and after the congestion charge of 2025."""


@pytest.fixture(scope="module")
def expected(
    sources: dict[str, str], prefect_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Lakehouse:
    """The same pipeline on DuckDB."""
    return run_on_duckdb(tmp_path_factory.mktemp("duckdb"), sources, DATES)


def run_on_duckdb(folder: Path, sources: dict[str, str], *ranges: tuple[str, ...]) -> Lakehouse:
    settings = {
        "NYC_TAXI_DATA_DIR": str(folder / "data"),
        "NYC_TAXI_WAREHOUSE": f"duckdb:{folder / 'warehouse.duckdb'}",
        "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
    }
    submitter = Submitter({**os.environ, **sources, **settings}, folder)
    for dates in ranges:
        submitter.python(PIPELINE, *dates)
    return on_duckdb(folder)


@pytest.fixture
def lakehouse(
    cluster: Cluster, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Lakehouse:
    """The tables of the cluster, read from this process by a catalog of another name."""
    monkeypatch.setenv("WAREHOUSE_URI", cluster.env["WAREHOUSE_URI"])
    return on_spark(tmp_path, spark, f"of_{uuid4().hex}")


def assert_equal(found: Lakehouse, expected: Lakehouse) -> None:
    """Compare all rows. Each pipeline fetched air and weather at its own time."""
    for table in expected.tables():
        rows = expected.rows(table, without=("fetched_at",))
        assert found.rows(table, without=("fetched_at",)) == rows, table


def kill_node(node: Service) -> None:
    """Kill a NodeManager and its containers, as the machine's end would."""
    server = node.process()
    assert server
    server.kill()
    for process in psutil.process_iter(["cmdline"]):
        if f"{node.folder}/{node.name}/" in " ".join(process.info["cmdline"] or []):
            process.kill()


def test_driver_and_node_killed_give_the_tables_of_one_clean_run(
    cluster: Cluster, expected: Lakehouse, lakehouse: Lakehouse
) -> None:
    killed = cluster.submit(PIPELINE, *DATES)
    assert until(lambda: "stale months" in killed.output(), 400), killed.output()
    killed.kill()
    run = cluster.submit(PIPELINE, *DATES)
    assert until(lambda: "stale months" in run.output(), 400), run.output()
    node = cluster.hadoop.nodemanagers[1]
    kill_node(node)
    try:
        assert run.wait(800) == 0, run.output()
    finally:
        node.start()
    assert_equal(lakehouse, expected)


@pytest.mark.slow
@pytest.mark.parametrize("files", ["generated", "real"])
def test_pipeline_backfill_and_maintenance_give_the_tables_of_duckdb(
    files: str,
    cluster: Cluster,
    lakehouse: Lakehouse,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    months, later = (DATES, DATES) if files == "generated" else REAL
    if files == "real":
        cluster.env["NYC_TAXI_SOURCE_URL"] = str(request.getfixturevalue("real") / "trip-data")
    (tmp_path / "duckdb").mkdir()
    expected = run_on_duckdb(tmp_path / "duckdb", cluster.env, months, later)
    two_weeks = (*months[:-1], f"{months[1][:7]}-14")
    for command in (
        (f"{FOLDER}/backfill/flow.py", *months, "--chunk-mode", "monthly"),
        (PIPELINE, *later),
        (f"{FOLDER}/backfill/flow.py", *two_weeks, "--chunk-mode", "weekly"),
        (f"{FOLDER}/maintenance/flow.py",),
    ):
        run = cluster.submit(*command)
        assert run.wait(800) == 0, run.output()
    assert_equal(lakehouse, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resourcemanager", "namenode"])
def test_restarted_server_ends_the_run_in_one_line_or_gives_the_same_tables(
    name: str, cluster: Cluster, expected: Lakehouse, lakehouse: Lakehouse
) -> None:
    run = cluster.submit(PIPELINE, *DATES)
    assert until(lambda: "stale months" in run.output(), 400), run.output()
    service: Service = getattr(cluster.hadoop, name)
    server = service.process()
    assert server
    server.kill()
    server.wait(10)
    service.start()
    if run.wait(800):
        assert run.output().splitlines()[-1].startswith("error: ")
        assert cluster.submit(PIPELINE, *DATES).wait(800) == 0
    assert_equal(lakehouse, expected)
