"""HDFS and YARN on one machine: a NameNode, a DataNode, a ResourceManager, two NodeManagers."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local_services.hadoop.configuration import (
    EVENT_LOGS,
    WAREHOUSE,
    Ports,
    spark_defaults,
    write_configuration,
)
from local_services.java import download_jars, java_command, java_home
from local_services.process import Service, ServiceStartError, start_together
from local_services.spark import history_server, spark_home, write_defaults

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
JARS = ROOT / "data" / "hadoop" / "jars"
NODES = 2
HDFS = "org.apache.hadoop.hdfs.server"
YARN = "org.apache.hadoop.yarn.server"
LIVE_DATANODES = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
FOLDERS = (WAREHOUSE, EVENT_LOGS, "/lake", f"/user/{getpass.getuser()}")
"""Folders that exist once HDFS is ready, writable for everyone."""


@dataclass(frozen=True)
class Daemon(Service):
    """A server of Hadoop, which answers before it is ready."""

    ready: Callable[[Any], bool] = field(default=lambda answer: True)
    """Reads the JSON at `path`."""

    def answers(self) -> bool:
        try:
            answer = self.get(self.path)
            return answer.status_code == 200 and self.ready(answer.json())
        except (httpx.HTTPError, ValueError, LookupError):
            return False


class Hadoop:
    """The servers, in the order of a clean stop. Their data and logs are in `folder`."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        self.folder, self.ports = folder, ports
        self.conf = folder / "conf"
        self.jars = download_jars(HERE / "pom.xml", JARS)
        nodes = [self._nodemanager(number) for number in range(1, NODES + 1)]
        self.nodemanagers = nodes
        self.resourcemanager = self._daemon(
            "resourcemanager",
            f"{YARN}.resourcemanager.ResourceManager",
            384,
            "/ws/v1/cluster/metrics",
            lambda answer: answer["clusterMetrics"]["activeNodes"] >= NODES,
        )
        self.datanode = self._daemon("datanode", f"{HDFS}.datanode.DataNode", 256, "/jmx")
        self.namenode = self._daemon(
            "namenode", f"{HDFS}.namenode.NameNode", 256, LIVE_DATANODES, _is_operational
        )

    @property
    def services(self) -> list[Daemon]:
        return [*self.nodemanagers, self.resourcemanager, self.datanode, self.namenode]

    @property
    def history(self) -> Service:
        """The Spark History Server. Raises ServiceStartError if Spark is not installed."""
        logs = f"{self.hdfs}{EVENT_LOGS}"
        return history_server(self.folder, self.ports["history"], logs, self.conf)

    @property
    def hdfs(self) -> str:
        return f"hdfs://{self.ports.address('namenode')}"

    def start(self) -> None:
        """Start all servers at once and wait until they are ready; create FOLDERS."""
        write_configuration(self.folder, self.ports, NODES)
        if not (self.folder / "namenode" / "current" / "VERSION").exists():
            self._format()
        start_together(self.services)
        for path in FOLDERS:
            made = httpx.put(
                f"{self.namenode.url}/webhdfs/v1{path}",
                params={"op": "MKDIRS", "permission": "1777", "user.name": getpass.getuser()},
                timeout=30,
                trust_env=False,
            )
            made.raise_for_status()

    def stop(self) -> None:
        """NodeManagers first: they sign off at the ResourceManager."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.stop, self.nodemanagers))
        for service in (self.resourcemanager, self.datanode, self.namenode):
            service.stop()

    def environment(self) -> dict[str, str]:
        """What a client of this cluster needs, Spark included."""
        jars = {"spark.yarn.jars": f"local:{spark_home()}/jars/*"}
        conf = write_defaults(self.folder / "spark", spark_defaults(self.ports) | jars)
        return {
            "JAVA_HOME": str(java_home()),
            "HADOOP_CONF_DIR": str(self.conf),
            "SPARK_CONF_DIR": str(conf),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_MASTER": "yarn",
            "WAREHOUSE_URI": f"{self.hdfs}{WAREHOUSE}",
            "NYC_TAXI_LAKE": f"{self.hdfs}/lake",
        }

    def _daemon(
        self,
        name: str,
        main: str,
        megabytes: int,
        path: str,
        ready: Callable[[Any], bool] = lambda answer: True,
        conf: str = "conf",
    ) -> Daemon:
        logs = self.folder / "logs"
        command = java_command(
            main,
            classpath=f"{self.folder / conf}:{self.jars}/*",
            megabytes=megabytes,
            properties={"hadoop.log.dir": logs, "yarn.log.dir": logs},
        )
        env = {
            "JAVA_HOME": str(java_home()),
            "HADOOP_CONF_DIR": str(self.folder / conf),
            "YARN_CONF_DIR": str(self.folder / conf),
        }
        port = self.ports[f"{name}_http"]
        return Daemon(name, self.folder, command, port, path, env=env, ready=ready)

    def _nodemanager(self, number: int) -> Daemon:
        name = f"nodemanager{number}"
        main = f"{YARN}.nodemanager.NodeManager"
        return self._daemon(name, main, 256, "/ws/v1/node/info", conf=f"conf-{name}")

    def _format(self) -> None:
        command = (*self.namenode.command, "-format", "-nonInteractive", "-force")
        done = subprocess.run(
            command, env={**os.environ, **self.namenode.env}, capture_output=True, check=False
        )
        if done.returncode:
            (self.folder / "format.log").write_bytes(done.stdout + done.stderr)
            raise ServiceStartError(f"HDFS cannot be formatted; see {self.folder / 'format.log'}")


def _is_operational(answer: Any) -> bool:
    """A DataNode is live before its disk is known, and takes no blocks until then."""
    [state] = answer["beans"]
    return bool(state["FSState"] == "Operational" and state["CapacityRemaining"] > 0)
