"""HDFS, YARN and Spark, real and on this machine, for the tests of `make test-cluster`."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec

import pytest

from local_services.hadoop import Hadoop, Ports
from local_services.java import JavaNotFoundError
from tests.support.services import NO_SERVICE


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
        if not any(_listens(first + n) for n in range(30)):
            return Ports(first)
    raise AssertionError("no free ports")


def _listens(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def hadoop_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """HDFS and YARN with two NodeManagers, empty."""
    skip_without_spark()
    try:
        servers = Hadoop(tmp_path_factory.mktemp("hadoop"), free_ports())
    except JavaNotFoundError as problem:
        pytest.skip(f"{NO_SERVICE}{problem}")
    servers.start()
    try:
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def hadoop(hadoop_servers: Hadoop, monkeypatch: pytest.MonkeyPatch) -> Hadoop:
    """The same, with the environment of its clients; the lake and warehouse are each test's."""
    for name, value in hadoop_servers.environment().items():
        monkeypatch.setenv(name, value)
    return hadoop_servers
