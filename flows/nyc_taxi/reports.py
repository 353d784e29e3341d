"""What was found in a month, for the log, the terminal and the Prefect UI."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact

from nyc_taxi.engine import open_duckdb, parquet_sql, quoted
from nyc_taxi.months import TripMonth
from nyc_taxi.transform import count_nulls


@dataclass(frozen=True)
class MonthReport:
    trips: TripMonth
    path: Path
    rows: int
    size: int
    """Bytes of the conformed file."""
    seconds: float
    found: dict[str, int | str] = field(default_factory=dict)
    """What a user of the data should know: a description and how many trips it is true of."""
    version: str | None = None
    """Of the raw file, as the source names it."""

    def __str__(self) -> str:
        found = ", ".join(f"{what} {count}" for what, count in self.found.items() if count)
        return (
            f"{self.trips}: {self.rows:,} rows, {self.size / 1e6:.1f} MB in {self.seconds:.1f} s"
            f" ({found or 'nothing odd found'})"
        )

    def row(self) -> dict[str, int | float | str]:
        return {
            "month": str(self.trips),
            "rows": self.rows,
            "bytes": self.size,
            "seconds": round(self.seconds, 2),
            **self.found,
        }


def find_dirt(trips: TripMonth, parquet: Path) -> dict[str, int]:
    """Count what the TLC's files are known to hold; all of it is kept in the data."""
    service = trips.service
    month = f"DATE '{trips.first_day}' AND {service.pickup} < DATE '{trips.next_first_day}'"
    zone = service.pickup_zone
    tests = {
        "missing passengers": "passenger_count IS NULL",
        "pickups outside the month": f"NOT ({service.pickup} >= {month})",
        "dropoff before pickup": f"{service.dropoff} < {service.pickup}",
        "negative totals": f"{service.total} < 0",
        # 264 and 265 are the TLC's "unknown" and "outside of NYC".
        "unknown zones": f"{zone} IS NULL OR {zone} NOT BETWEEN 1 AND 263",
    }
    if not service.column("passenger_count"):
        del tests["missing passengers"]
    if not service.total:
        del tests["negative totals"]
    with parquet.open("rb") as file:
        nulls = count_nulls(file)
    if all(nulls.values()):
        tests["empty rows"] = " AND ".join(f"{quoted(name)} IS NULL" for name in nulls)
    counts = ", ".join(f"count(*) FILTER ({test})" for test in tests.values())
    with open_duckdb() as db:
        row = db.execute(f"SELECT {counts} FROM {parquet_sql(parquet)}").fetchone() or ()
    required = [c.name for c in service.columns if c.required and c.name != "passenger_count"]
    missing = {f"missing {name}": nulls[name] for name in required if nulls.get(name)}
    return {**dict(zip(tests, row, strict=True)), **missing}


def publish(
    reports: Iterable[MonthReport],
    key: str,
    failed: Mapping[TripMonth, BaseException | None] | None = None,
) -> None:
    """Show months in the Prefect UI: a table with one row each, those that failed at the end."""
    rows = [report.row() for report in reports]
    columns = dict.fromkeys(name for row in rows for name in row)
    rows = [{name: row.get(name, 0) for name in columns} for row in rows]
    rows += [{"month": str(m), "failed": str(problem)} for m, problem in (failed or {}).items()]
    with shown_if_possible():
        create_table_artifact(rows, key=key)


@contextmanager
def shown_if_possible() -> Iterator[None]:
    """Log an artifact that the Prefect server refuses; the run continues."""
    try:
        yield
    except Exception as problem:
        said = " ".join(str(problem).split())
        get_run_logger().warning("the Prefect UI cannot show this: %s", said)
