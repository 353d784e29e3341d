"""Measure one of `bench.contenders` in a fresh process: `python -m bench.measured NAME PATH...`."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bench.processes import python


@dataclass(frozen=True)
class Measure:
    seconds: float
    """Excludes the start of the interpreter, imports, and `prepare` of the contender."""
    peak: float
    """Peak memory in MB, including imports."""
    cpu: float = 0
    """Seconds of all cores together; other load on the machine changes it less."""


def measure(contender: str, *paths: Path, env: Mapping[str, str]) -> Measure:
    return Measure(**json.loads(python("-m", "bench.measured", contender, *paths, env=env)))


def main(contender: str, *paths: str) -> None:
    module, given = import_module(f"bench.contenders.{contender}"), [*map(Path, paths)]
    if hasattr(module, "prepare"):
        module.prepare(*given)
    os.sync()  # flush earlier writes before the clock starts
    began, cpu = time.perf_counter(), time.process_time()
    module.run(*given)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": _peak_bytes() / 1e6}))


def _peak_bytes() -> int:
    """On Linux, ru_maxrss includes the memory of the process that has started this one."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
