"""Configuration files of HDFS and YARN on the loopback address of one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

HOST = "127.0.0.1"
NODE_MEMORY = 3072
"""MiB for the containers of one NodeManager."""
NODE_CORES = 4
"""Virtual cores of one NodeManager: an application master takes one of them."""
WAREHOUSE = "/warehouse/iceberg"
EVENT_LOGS = "/spark-events"
LOG4J = """\
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""


@dataclass(frozen=True)
class Ports:
    """Ports on 127.0.0.1. The tables' metadata holds the first one: keep it with the data."""

    first: int = 21000

    def __getitem__(self, name: str) -> int:
        return self.first + NAMES.index(name)

    def address(self, name: str) -> str:
        return f"{HOST}:{self[name]}"


NAMES = (
    "namenode", "namenode_http", "datanode", "datanode_http", "datanode_ipc",
    "resourcemanager", "scheduler", "tracker", "admin", "resourcemanager_http",
    "nodemanager1", "localizer1", "nodemanager1_http", "collector1", "proxy1",
    "nodemanager2", "localizer2", "nodemanager2_http", "collector2", "proxy2",
    "history",
)  # fmt: skip
"""What listens, in the order of the ports."""


def core_site(ports: Ports, data: Path) -> dict[str, object]:
    return {
        "fs.defaultFS": f"hdfs://{ports.address('namenode')}",
        "hadoop.tmp.dir": data / "tmp",
    }


def hdfs_site(ports: Ports, data: Path) -> dict[str, object]:
    return {
        "dfs.replication": 1,
        "dfs.namenode.name.dir": f"file://{data}/namenode",
        "dfs.datanode.data.dir": f"file://{data}/datanode",
        "dfs.namenode.rpc-address": ports.address("namenode"),
        "dfs.namenode.http-address": ports.address("namenode_http"),
        "dfs.datanode.address": ports.address("datanode"),
        "dfs.datanode.http.address": ports.address("datanode_http"),
        "dfs.datanode.ipc.address": ports.address("datanode_ipc"),
        "dfs.datanode.hostname": HOST,
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.namenode.safemode.extension": 0,
        "dfs.heartbeat.interval": 1,
        "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
    }


def yarn_site(ports: Ports, data: Path) -> dict[str, object]:
    """What every node and client reads. Finished applications survive a restart."""
    return {
        "yarn.resourcemanager.hostname": HOST,
        "yarn.resourcemanager.address": ports.address("resourcemanager"),
        "yarn.resourcemanager.scheduler.address": ports.address("scheduler"),
        "yarn.resourcemanager.resource-tracker.address": ports.address("tracker"),
        "yarn.resourcemanager.admin.address": ports.address("admin"),
        "yarn.resourcemanager.webapp.address": ports.address("resourcemanager_http"),
        "yarn.resourcemanager.recovery.enabled": "true",
        "yarn.resourcemanager.store.class": "org.apache.hadoop.yarn.server.resourcemanager.recovery"
        ".FileSystemRMStateStore",
        "yarn.resourcemanager.fs.state-store.uri": f"file://{data}/applications",
        "yarn.resourcemanager.work-preserving-recovery.scheduling-wait-ms": 2000,
        "yarn.resourcemanager.max-completed-applications": 200,
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": 500,
        "yarn.nm.liveness-monitor.expiry-interval-ms": 15000,
        "yarn.am.liveness-monitor.expiry-interval-ms": 30000,
        "yarn.scheduler.minimum-allocation-mb": 256,
        "yarn.scheduler.maximum-allocation-mb": NODE_MEMORY,
        "yarn.scheduler.maximum-allocation-vcores": NODE_CORES,
    }


def nodemanager_site(ports: Ports, data: Path, number: int) -> dict[str, object]:
    """Fixed ports and own folders let several NodeManagers share a machine.

    A monitor of its containers would delay the stop of a NodeManager by ten seconds.
    """
    node = data / f"nodemanager{number}"
    return {
        "yarn.nodemanager.hostname": HOST,
        "yarn.nodemanager.address": ports.address(f"nodemanager{number}"),
        "yarn.nodemanager.localizer.address": ports.address(f"localizer{number}"),
        "yarn.nodemanager.webapp.address": ports.address(f"nodemanager{number}_http"),
        "yarn.nodemanager.collector-service.address": ports.address(f"collector{number}"),
        "yarn.nodemanager.amrmproxy.address": ports.address(f"proxy{number}"),
        "yarn.nodemanager.local-dirs": node / "local",
        "yarn.nodemanager.log-dirs": node / "logs",
        "yarn.nodemanager.resource.memory-mb": NODE_MEMORY,
        "yarn.nodemanager.resource.cpu-vcores": NODE_CORES,
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.container-monitor.enabled": "false",
        "yarn.nodemanager.process-kill-wait.ms": 500,
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 99.5,
        "yarn.nodemanager.disk-health-checker.min-free-space-per-disk-mb": 512,
        "yarn.nodemanager.log.retain-seconds": 86400,
    }


SCHEDULER: dict[str, object] = {
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.capacity.root.default.capacity": 100,
    "yarn.scheduler.capacity.maximum-am-resource-percent": 0.5,
}
"""One queue; up to half of the memory may go to application masters."""


def write_configuration(data: Path, ports: Ports, nodes: int) -> None:
    """Write `conf` for servers and clients, and `conf-nodemanager<n>` for each NodeManager."""
    shared = yarn_site(ports, data)
    folders = {"conf": shared}
    for number in range(1, nodes + 1):
        folders[f"conf-nodemanager{number}"] = shared | nodemanager_site(ports, data, number)
    for name, yarn in folders.items():
        folder = data / name
        for pages in ("hdfs", "datanode"):  # hadoop-hdfs.jar has no pages; the servers want folders
            (folder / "webapps" / pages).mkdir(parents=True, exist_ok=True)
        _write(folder / "core-site.xml", core_site(ports, data))
        _write(folder / "hdfs-site.xml", hdfs_site(ports, data))
        _write(folder / "yarn-site.xml", yarn)
        _write(folder / "capacity-scheduler.xml", SCHEDULER)
        (folder / "log4j.properties").write_text(LOG4J)


def _write(path: Path, properties: Mapping[str, object]) -> None:
    lines = [
        f"  <property><name>{name}</name><value>{escape(str(value))}</value></property>"
        for name, value in properties.items()
    ]
    path.write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))


def spark_defaults(ports: Ports) -> dict[str, object]:
    """Properties of Spark for this cluster: small executors, and no upload of Spark's jars."""
    return {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.memory": "1g",
        "spark.yarn.am.memory": "512m",
        "spark.executor.memory": "1g",
        "spark.executor.memoryOverhead": "384m",
        "spark.executor.cores": 1,
        "spark.dynamicAllocation.maxExecutors": 2,
        "spark.yarn.appMasterEnv.SPARK_LOCAL_IP": HOST,
        "spark.executorEnv.SPARK_LOCAL_IP": HOST,
        "spark.yarn.historyServer.address": ports.address("history"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"hdfs://{ports.address('namenode')}{EVENT_LOGS}",
        "spark.scheduler.minRegisteredResourcesRatio": 0,
        "spark.sql.shuffle.partitions": 4,
        "spark.yarn.am.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
    }
