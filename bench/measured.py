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
    """Without the interpreter's start and the imports."""
    peak: float
    """Most memory held at once, in MB, imports included."""


def measure(way: str, *paths: Path, env: Mapping[str, str]) -> Measure:
    return Measure(**json.loads(python("-m", "bench.measured", way, *paths, env=env)))


def main(way: str, *paths: str) -> None:
    run = import_module(f"bench.contenders.{way}").run
    os.sync()  # what others wrote is not this one's to wait for
    began = time.perf_counter()
    run(*map(Path, paths))
    seconds = time.perf_counter() - began
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
