"""Time and memory of bronze, silver and gold on YARN with 1 and 2 executors, and on DuckDB."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import psutil

from bench.markdown import table
from bench.processes import ROOT, environment, python
from local_services.hadoop import Hadoop, Ports

ROWS = [10_000_000]
MONTHS = 6
PORT = 22000
"""The first of the cluster's ports: `make hadoop` may run at the same time."""
EXECUTORS = (1, 2)
MAKE = """
import sys
from pathlib import Path
from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import write_month
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
for month in map(int, sys.argv[3:]):
    trips = TripMonth("yellow", 2021, month)
    raw = write_month(folder.parent, "yellow", 2021, month, rows)
    conform(trips, raw).write(folder / f"{trips.stem}.parquet")
    raw.unlink()
"""
PROCESSES = {
    "CoarseGrainedExecutorBackend": "executors",
    "ExecutorLauncher": "application master",
    "SparkSubmit": "driver",
    "bench.measured": "driver",
}
"""Part of a command line -> what the process is. The driver is a JVM and Python."""


@dataclass(frozen=True)
class Run:
    what: str
    load: float
    """Seconds."""
    build: float
    """Seconds."""
    wall: float
    """Seconds of both, with the start and the end of their processes."""
    memory: Mapping[str, float]
    """Peak MB by kind of process, all of a kind together."""

    def cells(self) -> tuple[str, ...]:
        times = (f"{seconds:.0f}" for seconds in (self.load, self.build, self.wall))
        kinds = ("driver", "executors", "application master")
        return (self.what, *times, *(f"{self.memory.get(kind, 0):,.0f}" for kind in kinds))


def cluster(rows: list[int]) -> str:
    return "\n\n".join(_table(count) for count in rows)


def _table(rows: int) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        months = folder / "months"
        months.mkdir()
        python("-c", MAKE, months, str(rows // MONTHS), *map(str, range(1, MONTHS + 1)))
        runs = [_measure("DuckDB", [sys.executable, "-m"], months, environment(folder))]
        with _hadoop(folder / "hadoop") as hadoop:
            for executors in EXECUTORS:
                env = environment(folder, **_spark(hadoop, executors))
                what = f"Spark, {executors} executor{'s' if executors > 1 else ''}"
                submit = ["bash", str(ROOT / "scripts" / "spark_submit.sh")]
                runs.append(_measure(what, submit, months, env))
    header = ("warehouse", "load, s", "build, s", "wall, s", "driver MB", "executors MB", "AM MB")
    title = f"{rows:,} yellow trips in {MONTHS} months to bronze, silver and gold"
    return f"{title}\n\n{table(header, [run.cells() for run in runs])}"


@contextmanager
def _hadoop(folder: Path) -> Iterator[Hadoop]:
    servers = Hadoop(folder, Ports(PORT))
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def _spark(hadoop: Hadoop, executors: int) -> dict[str, str]:
    """Return the settings of a number of executors, with a separate folder of tables."""
    return hadoop.environment() | {
        "NYC_TAXI_WAREHOUSE": "spark:nyc",
        "WAREHOUSE_URI": f"{hadoop.hdfs}/warehouse/{executors}",
        "SPARK_DYN_MIN": str(executors),
        "SPARK_DYN_MAX": str(executors),
    }


def _measure(what: str, launcher: list[str], months: Path, env: Mapping[str, str]) -> Run:
    began, peaks = perf_counter(), dict[str, float]()
    seconds = []
    for step in ("cluster_load", "cluster_build"):
        found = _run([*launcher, "bench.measured", step, str(months)], env, peaks)
        seconds.append(float(json.loads(found.splitlines()[-1])["seconds"]))
        print(f"{what}: {step} {seconds[-1]:.0f} s", file=sys.stderr)
    load, build = seconds
    return Run(what, load, build, perf_counter() - began, peaks)


def _run(command: list[str], env: Mapping[str, str], peaks: dict[str, float]) -> str:
    """Run to the end; raise `peaks` to what processes take, sampled four times a second."""
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        while True:
            try:
                said, _ = process.communicate(timeout=0.25)
            except subprocess.TimeoutExpired:
                for kind, megabytes in _memory(Path(env["NYC_TAXI_DATA_DIR"])).items():
                    peaks[kind] = max(peaks.get(kind, 0), megabytes)
                continue
            if process.returncode:
                sys.exit(f"error: {' '.join(command)} failed; see above")
            return said


def _memory(folder: Path) -> dict[str, float]:
    """Return resident MB of the processes that name `folder`, by kind."""
    taken: dict[str, float] = {}
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        command = " ".join(process.info["cmdline"] or [])
        kind = next((kind for part, kind in PROCESSES.items() if part in command), None)
        if kind and str(folder) in command and process.info["memory_info"]:
            taken[kind] = taken.get(kind, 0) + process.info["memory_info"].rss / 1e6
    return taken
