"""What a layer read, wrote and rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nyc_taxi.transform.dbt import Dbt
from nyc_taxi.transform.plan import BUILDS
from nyc_taxi.transform.targets.base import SUFFIX, Target

RECORDS = f"silver.{BUILDS}{SUFFIX}"
REJECTED = f"silver.trips_rejected{SUFFIX}"


@dataclass(frozen=True)
class LayerMetrics:
    """One row of a run's metrics."""

    layer: str
    rows_in: int = 0
    rows_out: int = 0
    bytes: int = 0
    """Size of its tables, as stored."""
    seconds: float = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Rule -> rows for which it is the first reason."""

    def __str__(self) -> str:
        rejected = ", ".join(f"{rule} {rows:,}" for rule, rows in self.rejected.items())
        return (
            f"{self.layer}: {self.rows_in:,} rows in, {self.rows_out:,} out, "
            f"{sum(self.rejected.values()):,} rejected{f' ({rejected})' if rejected else ''}, "
            f"{self.bytes:,} bytes, {self.seconds:.1f} s"
        )

    def as_row(self) -> dict[str, int | float | str]:
        return {
            "layer": self.layer,
            "rows in": self.rows_in,
            "rows out": self.rows_out,
            "rejected": sum(self.rejected.values()),
            "bytes": self.bytes,
            "seconds": round(self.seconds, 1),
            **{f"rejected: {rule}": rows for rule, rows in self.rejected.items()},
        }


def count_rows(target: Target, tables: Sequence[str]) -> int:
    counts = " UNION ALL ".join(f"SELECT count(*) AS n FROM {table}" for table in tables)
    [(rows,)] = target.query(f"SELECT sum(n) FROM ({counts}) AS counts")
    return int(rows)


def measure_silver(dbt: Dbt, rows_in: int, seconds: float) -> LayerMetrics:
    """Measure what is built aside. `rows_in`: rows of the months in bronze."""
    target = dbt.target
    reasons = target.query(
        f"SELECT first_reason, count(*) FROM {REJECTED} GROUP BY first_reason"
        " ORDER BY count(*) DESC, first_reason"
    )
    rejected = {str(rule): int(rows) for rule, rows in reasons}
    built = dbt.tables(["silver"])
    size = target.bytes(*built)
    rows = count_rows(target, [table for table in built if table not in (REJECTED, RECORDS)])
    return LayerMetrics("silver", rows_in, rows, size, seconds, rejected)


def measure_gold(dbt: Dbt, parts: Sequence[str], seconds: float) -> LayerMetrics:
    target = dbt.target
    rows_in = count_rows(target, dbt.tables(["silver"])) if "silver" in parts else 0
    built = dbt.tables([part for part in parts if part != "silver"])
    size = target.bytes(*built)
    return LayerMetrics("gold", rows_in, count_rows(target, built), size, seconds)
