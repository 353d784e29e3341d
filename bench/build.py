"""Time of build.py to register flows, by number of flows."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.processes import environment, python, seconds, serving
from local_services.process import free_port

FLOWS = (1, 50, 200)
BUILD = "scripts/prefect_build/build.py"
FLOW = '''from prefect import flow


@flow
def flow_{number}_of_{flows}(month: int = 1) -> int:
    """A generated flow."""
    return month
'''


def build() -> str:
    lines = []
    with TemporaryDirectory(prefix="bench-") as name:
        port = free_port()
        env = environment(Path(name), PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
        with serving("-m", "prefect", "server", "start", "--port", str(port), port=port, env=env):
            python("blocks/make_process_pool.py", env=env)
            for flows in FLOWS:
                root = write_flows(Path(name, str(flows)), flows)
                first = seconds(BUILD, "--root", root, env=env)
                again = seconds(BUILD, "--root", root, env=env)
                lines.append((flows, first, again))
    (_, first_alone, again_alone), *_ = lines
    header = ("flows", "first run, s", "rerun, s", "per further flow: first run, ms", "rerun, ms")
    rows = [
        (
            str(flows),
            f"{first:.1f}",
            f"{again:.1f}",
            f"{(first - first_alone) / (flows - 1) * 1000:.0f}" if flows > 1 else "",
            f"{(again - again_alone) / (flows - 1) * 1000:.0f}" if flows > 1 else "",
        )
        for flows, first, again in lines
    ]
    return f"build.py: generated flows, ten per project\n\n{table(header, rows)}"


def write_flows(root: Path, flows: int) -> Path:
    for number in range(flows):
        folder = root / "flows" / f"project_{number // 10}" / f"flow_{number}"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder.parent / "__init__.py").touch()
        (folder / "flow.py").write_text(FLOW.format(number=number, flows=flows))
    return root
