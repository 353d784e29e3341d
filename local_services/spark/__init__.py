"""Servers of Spark from the wheel of pyspark: a standalone cluster, the History Server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import httpx

from local_services.java import java_command, java_home
from local_services.process import Service, ServiceStartError, start_together

HOST = "127.0.0.1"
DEPLOY = "org.apache.spark.deploy"
WORKERS = 2


class SparkNotFoundError(ServiceStartError):
    def __init__(self) -> None:
        super().__init__("Spark is not installed; run: make spark")


def spark_home() -> Path:
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise SparkNotFoundError
    return Path(found.origin).parent


def write_defaults(folder: Path, properties: Mapping[str, object]) -> Path:
    """Write spark-defaults.conf; return its folder, for SPARK_CONF_DIR."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} {value}\n" for name, value in properties.items()]
    (folder / "spark-defaults.conf").write_text("".join(lines))
    return folder


def history_server(folder: Path, port: int, logs: str, hadoop: Path) -> Service:
    """Return the server of the pages of applications that have ended, from their event logs."""
    properties = {
        "spark.history.fs.logDirectory": logs,
        "spark.history.fs.update.interval": "5s",
        "spark.history.ui.port": port,
    }
    return _service("history", folder, port, "history.HistoryServer", 384, properties, hadoop)


@dataclass(frozen=True)
class Master(Service):
    """The master of a standalone cluster, ready with all of its workers."""

    def answers(self) -> bool:
        try:
            answer = self.get("/json/")
            return answer.status_code == 200 and bool(answer.json()["aliveworkers"] == WORKERS)
        except (httpx.HTTPError, ValueError, LookupError):
            return False


class Standalone:
    """A master and two workers with one core and 1.5 GB each; their ports follow `first`."""

    def __init__(self, folder: Path, first: int = 7077) -> None:
        self.folder, self.first = folder, first

    @property
    def url(self) -> str:
        return f"spark://{HOST}:{self.first}"

    @cached_property
    def master(self) -> Service:
        pages = self.first + 1
        options = ("--host", HOST, "--port", str(self.first), "--webui-port", str(pages))
        plain = _service("master", self.folder, pages, "master.Master", 256, {}, None, *options)
        return Master(plain.name, plain.folder, plain.command, pages, env=plain.env)

    @cached_property
    def workers(self) -> list[Service]:
        return [self._worker(number) for number in range(1, WORKERS + 1)]

    def _worker(self, number: int) -> Service:
        port = self.first + 2 * number
        name = f"worker{number}"
        options = (
            *("--host", HOST, "--port", str(port), "--webui-port", str(port + 1)),
            *("--cores", "1", "--memory", "1536m", "--work-dir", str(self.folder / name), self.url),
        )
        return _service(name, self.folder, port + 1, "worker.Worker", 256, {}, None, *options)

    def start(self) -> None:
        """Start all at once: the master is ready once its workers are."""
        start_together([self.master, *self.workers])

    def stop(self) -> None:
        for service in (*self.workers, self.master):
            service.stop()

    def environment(self) -> dict[str, str]:
        """What a client needs."""
        properties = {
            "spark.driver.host": HOST,
            "spark.driver.bindAddress": HOST,
            "spark.executor.memory": "1g",
            "spark.sql.shuffle.partitions": 4,
        }
        return {
            "JAVA_HOME": str(java_home()),
            "SPARK_CONF_DIR": str(write_defaults(self.folder / "conf", properties)),
            "SPARK_LOCAL_IP": HOST,
            "SPARK_MASTER": self.url,
        }


def _service(
    name: str,
    folder: Path,
    port: int,
    main: str,
    megabytes: int,
    properties: Mapping[str, object],
    hadoop: Path | None,
    *options: str,
) -> Service:
    home = spark_home()
    classpath = f"{hadoop}:{home}/jars/*" if hadoop else f"{home}/jars/*"
    command = java_command(
        f"{DEPLOY}.{main}",
        *options,
        classpath=classpath,
        megabytes=megabytes,
        properties=properties,
    )
    env = {
        "JAVA_HOME": str(java_home()),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_SCALA_VERSION": "2.13",  # bin/spark-class would set it
    }
    return Service(name, folder, command, port, env=env)
