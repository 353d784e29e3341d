"""Counts of values that a pass over a raw file changes, or finds anomalous."""

from __future__ import annotations

from dataclasses import dataclass, field

from nyc_taxi.storage.duckdb_engine import Database


@dataclass
class Counters:
    """Counters kept in DuckDB sequences.

    Only the pass sees the raw values, and it is streamed: only an expression within it can count.
    """

    labels: list[str] = field(default_factory=list)

    def counted_null(self, label: str, kind: str) -> str:
        """Return SQL of a null of the type `kind` that is counted."""
        return f"CAST(CASE WHEN {self._next(label)} = 0 THEN '' END AS {kind})"

    def counted_value(self, label: str, value: str) -> str:
        """Return SQL of a value that is kept and counted."""
        return f"CASE WHEN {self._next(label)} > 0 THEN {value} END"

    def _next(self, label: str) -> str:
        if label not in self.labels:
            self.labels.append(label)
        return f"nextval('counter_{self.labels.index(label)}')"

    def create(self, db: Database) -> None:
        for n in range(len(self.labels)):
            db.execute(f"CREATE OR REPLACE TEMP SEQUENCE counter_{n}")

    def read(self, db: Database) -> dict[str, int]:
        """Return the counts by label, without zeros."""
        rows = db.execute("SELECT sequence_name, last_value FROM duckdb_sequences()").fetchall()
        values = dict(rows)
        counts = {label: values[f"counter_{n}"] for n, label in enumerate(self.labels)}
        return {label: int(count) for label, count in counts.items() if count}
