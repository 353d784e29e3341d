"""Time and memory of silver and gold on DuckDB, with the same SQL without dbt, and pandas."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.measured import Measure, measure
from bench.processes import environment, python

ROWS = [10_000_000, 40_000_000]
MONTHS = 12
LOAD = """
import sys
from pathlib import Path
from nyc_taxi.conform.plan import conform
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from synthetic_tlc import write_month
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
for month in map(int, sys.argv[3:]):
    trips = TripMonth("yellow", 2021, month)
    raw, clean = write_month(folder, "yellow", 2021, month, rows), folder / "clean.parquet"
    conform(trips, raw).write(clean)
    raw.unlink()
    warehouse.replace_month(trips, clean, {})
"""


def lakehouse(rows: list[int]) -> str:
    return "\n\n".join(_tables(count) for count in rows)


def _tables(rows: int) -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        env = environment(folder)
        python("-c", LOAD, folder, str(rows // MONTHS), *map(str, range(1, MONTHS + 1)), env=env)
        bronze, copy = folder / "warehouse.duckdb", folder / "copy.duckdb"
        runs: dict[str, Measure] = {}
        shutil.copy(bronze, copy)
        runs["all months, published"] = measure("lakehouse_build", copy, env=env)
        python("-c", LOAD, folder, str(rows // MONTHS), "5", env=env)
        changed = folder / "changed.duckdb"
        _replace_month(copy, changed)
        runs["one of 12 months"] = measure("lakehouse_build", changed, env=env)
        statements = _collect_statements(folder / "dbt" / "duckdb", folder / "statements")
        runs["the same SQL and tests without dbt"] = measure(
            "lakehouse_bare", bronze, statements, env=env
        )
        shutil.copy(bronze, copy)
        runs["month by month"] = measure("lakehouse_build", copy, Path("months"), env=env)
        runs["a part of it with pandas"] = measure("lakehouse_pandas", bronze, env=env)
    lines = [(what, f"{run.seconds:.1f}", f"{run.peak:,.0f}") for what, run in runs.items()]
    title = f"Silver and gold of {rows:,} yellow trips in {MONTHS} months on DuckDB"
    return f"{title}\n\n{table(('run', 'seconds', 'peak MB'), lines)}"


def _replace_month(built: Path, changed: Path) -> None:
    """Copy a warehouse whose month 5 counts as loaded again."""
    shutil.copy(built, changed)
    python(
        "-c",
        "import duckdb, sys; duckdb.connect(sys.argv[1]).execute("
        "\"UPDATE dezoomcamp.loads SET load_id = 'new' WHERE trip_month = DATE '2021-05-01'\")",
        changed,
    )


def _collect_statements(scratch: Path, folder: Path) -> Path:
    """Copy what dbt ran, numbered by the time it ran."""
    folder.mkdir()
    paths = sorted((scratch / "run").rglob("*.sql"), key=lambda path: path.stat().st_mtime_ns)
    for number, path in enumerate(paths):
        (folder / f"{number:04}.sql").write_text(path.read_text())
    print(f"{len(paths)} statements", file=sys.stderr)
    return folder
