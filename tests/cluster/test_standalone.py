"""A standalone Spark cluster, and a worker of it that dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local_services.spark import Standalone
from synthetic_tlc import Site, write_month
from tests.support.clusters import (
    YEAR,
    Submitter,
    free_ports,
    skip_without_spark,
)
from tests.support.processes import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[Standalone]:
    skip_without_spark()
    servers = Standalone(tmp_path / "spark", free_ports().first)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def test_run_completes_when_a_worker_is_killed(
    standalone: Standalone, prefect_server: None, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    write_month(tmp_path / "site", "green", YEAR, 1, 2000)
    with Site(tmp_path / "site") as site:
        site.slow(1000)
        env = {
            **os.environ,
            **standalone.environment(),
            "NYC_TAXI_SOURCE_URL": site.url,
            "NYC_TAXI_WAREHOUSE": "spark:nyc",
            "WAREHOUSE_URI": str(tmp_path / "iceberg"),
        }
        submitter = Submitter(env, tmp_path)
        month = ("--color", "green", "--year", str(YEAR), "--months", "1")
        run = submitter.submit("flows/etl_web_to_bq.py", *month)
        try:
            assert until(lambda: f"on {standalone.url}" in run.output()), run.output()
            worker = standalone.workers[0].process()
            assert worker
            for process in (*psutil.Process(worker.pid).children(True), worker):
                process.kill()
            site.heal()
            assert run.wait() == 0, run.output()
        finally:
            submitter.kill()
    assert "green 2024-01 loaded into the warehouse: 2,000 rows" in run.output()
