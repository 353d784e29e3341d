"""Start and stop HDFS, YARN and the Spark History Server: `python -m local_services.hadoop up`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from local_services.hadoop.cluster import ROOT, Hadoop
from local_services.hadoop.configuration import Ports
from local_services.process import ServiceStartError

STARTED = """\
HDFS and YARN are running on 127.0.0.1: one DataNode, two NodeManagers
  HDFS              {hadoop.hdfs} (WebHDFS {hadoop.namenode.url}/webhdfs/v1)
  ResourceManager   {hadoop.resourcemanager.url}
  NodeManagers      {nodes}
  History Server    {hadoop.history.url}
  data and logs     {folder}, logs of containers in nodemanager1/logs and nodemanager2/logs
To use them in this shell, and run a flow there:
  . {env}
  bash scripts/spark_submit.sh flows/lakehouse/full_pipeline/flow.py
To stop them: make hadoop-stop"""


def up(hadoop: Hadoop) -> None:
    hadoop.start()
    hadoop.history.start()
    env = hadoop.folder / "env"
    values = hadoop.environment().items()
    env.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values))
    nodes = ", ".join(node.url for node in hadoop.nodemanagers)
    folder, env = (_shown(path) for path in (hadoop.folder, env))
    print(STARTED.format(hadoop=hadoop, nodes=nodes, folder=folder, env=env))


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def down(hadoop: Hadoop) -> None:
    hadoop.history.stop()
    hadoop.stop()
    print(f"HDFS and YARN in {_shown(hadoop.folder)} are stopped; their data is kept")


def status(hadoop: Hadoop) -> None:
    for service in (*hadoop.services, hadoop.history):
        state = service.url if service.process() and service.answers() else "not running"
        print(f"{service.name:18}{state}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_services.hadoop", description=__doc__)
    actions = {"up": up, "down": down, "status": status}
    parser.add_argument("do", choices=[*actions])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "hadoop")
    parser.add_argument("--port", type=int, default=Ports().first, help="the first of 21 ports")
    args = parser.parse_args()
    try:
        actions[args.do](Hadoop(args.folder.resolve(), Ports(args.port)))
    except ServiceStartError as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
