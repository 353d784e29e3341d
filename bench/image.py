"""Size of the image nyc-taxi:latest, its largest packages, and container start time."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.markdown import table
from bench.processes import ROOT

IMAGE, BASE = "nyc-taxi:latest", "python:3.11-slim"
ROUNDS = 5
STARTS = {
    "the base's `python -c pass`": (BASE, "python", "-c", "pass"),
    "`prefect version`": (IMAGE, "prefect", "version"),
    "the same without the bytecode in the image": (
        "--env=PYTHONPYCACHEPREFIX=/nowhere", IMAGE, "prefect", "version",
    ),
    "`import parameterized_flow`": (IMAGE, "python", "-c", "import parameterized_flow"),
}  # fmt: skip
LARGEST = """
import sysconfig
from pathlib import Path
sizes = {
    top.name: sum(file.stat().st_size for file in (top, *top.rglob("*")) if file.is_file())
    for top in Path(sysconfig.get_path("purelib")).iterdir()
}
for name in sorted(sizes, key=sizes.get, reverse=True)[:10]:
    print(name, sizes[name])
"""


def image() -> str:
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "Image not measured: no Docker engine is available."
    _docker("build", "--tag", IMAGE, str(ROOT))
    return "\n\n".join([_sizes(), _largest(), _starts()])


def _sizes() -> str:
    whole, base = (int(_docker("image", "inspect", "-f", "{{.Size}}", i)) for i in (IMAGE, BASE))
    sizes = {f"the base, `{BASE}`": base, "added layers": whole - base, f"`{IMAGE}`": whole}
    lines = [(what, _mb(size), f"{size / base:.1f}") for what, size in sizes.items()]
    return f"Image size\n\n{table(('what', 'MB', 'times the base'), lines)}"


def _largest() -> str:
    found = [line.rsplit(" ", 1) for line in _run(IMAGE, "python", "-c", LARGEST).splitlines()]
    lines = [(f"`{name}`", _mb(int(size))) for name, size in found]
    return f"Ten largest packages\n\n{table(('what', 'MB'), lines)}"


def _starts() -> str:
    best = dict.fromkeys(STARTS, float("inf"))
    for _ in range(ROUNDS):
        for what, command in STARTS.items():
            began = time.perf_counter()
            _run(*command)
            best[what] = min(best[what], time.perf_counter() - began)
    base = next(iter(best.values()))
    lines = [(what, f"{taken:.2f}", f"{taken / base:.1f}") for what, taken in best.items()]
    title = f"`docker run` from start to exit, best of {ROUNDS}"
    return f"{title}\n\n{table(('command', 'seconds', 'times the base'), lines)}"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f}"


def _run(*command: str) -> str:
    return _docker("run", "--rm", *command)


def _docker(*command: str) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}error: docker {' '.join(command[:2])} failed")
    return done.stdout


def main() -> None:
    print(image())


if __name__ == "__main__":
    main()
