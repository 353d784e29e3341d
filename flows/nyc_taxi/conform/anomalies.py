"""Report of a conformed month: rows, size, and anomalies that stay in the data."""

from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.conform.passenger_counts import count_nulls
from nyc_taxi.storage.duckdb_engine import open_duckdb, parquet_sql, quoted
from nyc_taxi.trips.months import TripMonth


@dataclass(frozen=True)
class MonthReport:
    trips: TripMonth
    path: Path
    rows: int
    size: int
    """Bytes of the conformed file."""
    seconds: float
    anomalies: dict[str, int | str] = field(default_factory=dict)
    """What a user of the data should know: a description and how many trips it is true of."""
    version: str | None = None
    """Of the raw file, as the source names it."""

    def __str__(self) -> str:
        found = ", ".join(f"{what} {count}" for what, count in self.anomalies.items() if count)
        return (
            f"{self.trips}: {self.rows:,} rows, {self.size / 1e6:.1f} MB in {self.seconds:.1f} s"
            f" ({found or 'nothing odd found'})"
        )

    def as_row(self) -> dict[str, int | float | str]:
        return {
            "month": str(self.trips),
            "rows": self.rows,
            "bytes": self.size,
            "seconds": round(self.seconds, 2),
            **self.anomalies,
        }


def count_anomalies(trips: TripMonth, parquet: Path) -> dict[str, int]:
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
