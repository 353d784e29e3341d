"""Report of a conformed month: rows, size, and the anomalies that stay in the data."""

from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.conform.passenger_counts import count_nulls
from nyc_taxi.storage.duckdb_engine import Database, parquet_sql, quoted
from nyc_taxi.trips.months import TripMonth


@dataclass(frozen=True)
class MonthReport:
    """Result of conforming one month."""

    trips: TripMonth
    path: Path
    rows: int
    size: int
    """Bytes of the conformed file."""
    seconds: float
    anomalies: dict[str, int | str] = field(default_factory=dict)
    """For each kind of anomaly, the number of trips, or a text."""
    version: str | None = None
    """Version of the raw file, in the format of `published_version`."""

    def __str__(self) -> str:
        anomalies = ", ".join(
            f"{label} {count}" for label, count in self.anomalies.items() if count
        )
        return (
            f"{self.trips}: {self.rows:,} rows, {self.size / 1e6:.1f} MB in {self.seconds:.1f} s"
            f" ({anomalies or 'no anomalies'})"
        )

    def as_row(self) -> dict[str, int | float | str]:
        return {
            "month": str(self.trips),
            "rows": self.rows,
            "bytes": self.size,
            "seconds": round(self.seconds, 2),
            **self.anomalies,
        }


def count_anomalies(db: Database, trips: TripMonth, parquet: Path) -> dict[str, int]:
    """Count the known anomalies of the TLC's files. All of these trips are kept."""
    service = trips.service
    month = f"DATE '{trips.first_day}' AND {service.pickup} < DATE '{trips.next_first_day}'"
    zone = service.pickup_zone
    conditions = {
        "missing passengers": "passenger_count IS NULL",
        "pickups outside the month": f"NOT ({service.pickup} >= {month})",
        "dropoff before pickup": f"{service.dropoff} < {service.pickup}",
        "negative totals": f"{service.total} < 0",
        # 264 and 265 are the TLC's "unknown" and "outside of NYC".
        "unknown zones": f"{zone} IS NULL OR {zone} NOT BETWEEN 1 AND 263",
    }
    if not service.column("passenger_count"):
        del conditions["missing passengers"]
    if not service.total:
        del conditions["negative totals"]
    with parquet.open("rb") as file:
        nulls = count_nulls(file)
    if all(nulls.values()):
        conditions["empty rows"] = " AND ".join(f"{quoted(name)} IS NULL" for name in nulls)
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in conditions.values())
    row = db.execute(f"SELECT {counts} FROM {parquet_sql(parquet)}").fetchone() or ()
    required = [c.name for c in service.columns if c.required and c.name != "passenger_count"]
    missing = {f"missing {name}": nulls[name] for name in required if nulls.get(name)}
    return {**dict(zip(conditions, row, strict=True)), **missing}
