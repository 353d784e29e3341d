"""Start and stop a standalone Spark cluster: `python -m local_services.spark up|down`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from local_services.process import ServiceStartError
from local_services.spark import Standalone

ROOT = Path(__file__).resolve().parents[2]
STARTED = """\
A Spark master and two workers are running on 127.0.0.1
  master    {cluster.url}, pages at {cluster.master.url}
  logs      {folder}
To use them in this shell, and run a flow there:
  . {folder}/env
  bash scripts/spark_submit.sh flows/lakehouse/full_pipeline/flow.py
To stop them: make spark-local-stop"""


def up(cluster: Standalone) -> None:
    cluster.start()
    values = cluster.environment().items()
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values]
    (cluster.folder / "env").write_text("".join(lines))
    folder = cluster.folder
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    print(STARTED.format(cluster=cluster, folder=shown))


def down(cluster: Standalone) -> None:
    cluster.stop()
    print("the Spark master and its workers are stopped")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_services.spark", description=__doc__)
    actions = {"up": up, "down": down}
    parser.add_argument("do", choices=[*actions])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "spark")
    parser.add_argument("--port", type=int, default=7077, help="the first of six ports")
    args = parser.parse_args()
    try:
        actions[args.do](Standalone(args.folder.resolve(), args.port))
    except ServiceStartError as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
