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
    """Excludes the start of the interpreter and imports."""
    peak: float
    """Peak memory in MB, including imports."""


def measure(contender: str, *paths: Path, env: Mapping[str, str]) -> Measure:
    return Measure(**json.loads(python("-m", "bench.measured", contender, *paths, env=env)))


def main(contender: str, *paths: str) -> None:
    run = import_module(f"bench.contenders.{contender}").run
    os.sync()  # flush earlier writes before the clock starts
    began = time.perf_counter()
    run(*map(Path, paths))
    seconds = time.perf_counter() - began
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
