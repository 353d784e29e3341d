"""HDFS, YARN and Spark, real and on this machine, for the tests of `make test-cluster`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local_services.hadoop import Hadoop, Ports
from local_services.java import JavaNotFoundError
from local_services.process import listens
from synthetic_tlc import OpenMeteo, Site, write_month, write_zones
from tests.support.processes import ROOT, until
from tests.support.services import NO_SERVICE

YEAR = 2024
ROWS = 2000


def skip_without_spark() -> None:
    """Skip where Java, Maven or Spark is missing."""
    for program in ("java", "mvn"):
        if not shutil.which(program):
            pytest.skip(f"{NO_SERVICE}{program} of the cluster was not found on PATH")
    if find_spec("pyspark") is None:
        pytest.skip(f"{NO_SERVICE}no Spark for the cluster; run: make test-cluster")


def free_ports() -> Ports:
    """Return the first of enough free ports in a row."""
    for first in range(21100, 29000, 100):
        if not any(listens(first + n) for n in range(30)):
            return Ports(first)
    raise AssertionError("no free ports")


@pytest.fixture(scope="session")
def hadoop_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """HDFS and YARN with two NodeManagers, empty."""
    skip_without_spark()
    try:
        servers = Hadoop(tmp_path_factory.mktemp("hadoop"), free_ports())
    except JavaNotFoundError as problem:
        pytest.skip(f"{NO_SERVICE}{problem}")
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def hadoop(hadoop_servers: Hadoop, monkeypatch: pytest.MonkeyPatch) -> Hadoop:
    """HDFS and YARN, with the environment of their clients."""
    for name, value in hadoop_servers.environment().items():
        monkeypatch.setenv(name, value)
    return hadoop_servers


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings of a site with green trips of two months and the zones, and of Open-Meteo."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "trip-data").mkdir()
    write_zones(folder / "misc")
    for month in (1, 2):
        write_month(folder / "trip-data", "green", YEAR, month, ROWS)
    with Site(folder) as site, OpenMeteo(limit=float("inf")) as meteo:
        yield {
            "NYC_TAXI_SOURCE_URL": f"{site.url}/trip-data",
            "NYC_TAXI_AIR_QUALITY_URL": meteo.air_quality_url,
            "NYC_TAXI_WEATHER_URL": meteo.weather_url,
        }


@dataclass
class Submission:
    """A flow that scripts/spark_submit.sh runs in its own process group."""

    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float = 400) -> int:
        return self.process.wait(seconds)

    def jvm(self) -> psutil.Process:
        return next(
            child for child in psutil.Process(self.process.pid).children() if "java" in child.name()
        )

    def kill(self) -> None:
        """Kill the flow and its JVM, as the machine's end would."""
        processes = [*psutil.Process(self.process.pid).children(True), self.process]
        for process in processes:
            process.kill()
        self.process.wait(30)


@dataclass
class Submitter:
    """Runs flows with an environment; their logs are in `folder`."""

    env: dict[str, str]
    folder: Path
    started: list[Submission] = field(default_factory=list)

    def kill(self) -> None:
        for run in self.started:
            if run.process.poll() is None:
                run.kill()

    def submit(self, flow: str, *options: str, **env: str) -> Submission:
        log = self.folder / f"submit{len(self.started)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "scripts/spark_submit.sh", flow, "--", *options],
                cwd=ROOT,
                env={**self.env, **env},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(Submission(process, log))
        return self.started[-1]

    def python(self, flow: str, *options: str, **env: str) -> None:
        """Run a flow without the cluster."""
        done = subprocess.run(
            [sys.executable, flow, *options],
            cwd=ROOT,
            env={**self.env, "SPARK_MASTER": "", **env},
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass(kw_only=True)
class Cluster(Submitter):
    """HDFS and YARN, with a separate lake and warehouse."""

    hadoop: Hadoop

    def applications(self) -> dict[str, dict[str, Any]]:
        """All applications of YARN by their ids, the oldest first."""
        url = f"{self.hadoop.resourcemanager.url}/ws/v1/cluster/apps"
        found = httpx.get(url, trust_env=False).json()["apps"] or {"app": []}
        return {app["id"]: app for app in sorted(found["app"], key=lambda app: app["startedTime"])}

    def new_application(self, known: dict[str, Any], state: str = "RUNNING") -> str:
        """Wait for an application that is not among the known ones; return its id."""

        def new() -> list[str]:
            return [
                name
                for name, app in self.applications().items()
                if name not in known and app["state"] == state
            ]

        assert until(lambda: bool(new()), 120), self.started[-1].output()
        return new()[0]


@pytest.fixture
def cluster(
    hadoop: Hadoop, sources: dict[str, str], prefect_server: None, tmp_path: Path
) -> Iterator[Cluster]:
    warehouse = f"{hadoop.hdfs}/warehouse/{tmp_path.name}"
    env = {
        **os.environ,
        **sources,
        "NYC_TAXI_LAKE": f"{hadoop.hdfs}/lake/{tmp_path.name}",
        "NYC_TAXI_WAREHOUSE": "spark:nyc",
        "WAREHOUSE_URI": warehouse,
    }
    cluster = Cluster(env, tmp_path, hadoop=hadoop)
    yield cluster
    cluster.kill()
