"""A raw file of any year becomes its colour's one schema, in one streamed pass.

Columns are renamed, re-typed and decoded by one SQL expression each, so memory does not grow with
the file. No value is guessed: one that does not fit its type ends the pass with an error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.casts import cast, is_null
from nyc_taxi.colors import SERVICES
from nyc_taxi.engine import literal, quoted
from nyc_taxi.errors import BadSchema, Damaged
from nyc_taxi.files import replacing, writing
from nyc_taxi.months import TripMonth
from nyc_taxi.progress import watching
from nyc_taxi.raw import header, reading
from nyc_taxi.reports import MonthReport, find_dirt
from nyc_taxi.rules import NO_RULES, Rules, prepare
from nyc_taxi.trip_rules import table
from nyc_taxi.verify import rows_in_footer

_WIDEST = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER"), "BIGINT"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
    "FLOAT": "DOUBLE",
}


@dataclass(frozen=True)
class Plan:
    """How one raw file becomes its colour's schema; so far only its header has been read."""

    trips: TripMonth
    raw: Path
    sql: str
    """A query on the view `raw`."""
    columns: tuple[tuple[str, str], ...]
    """(name, DuckDB type) of the result."""
    missing: tuple[str, ...]
    """Declared columns that the file has not: null in the result."""
    undeclared: tuple[str, ...]
    """Columns of the file that nobody declared: kept as they are."""

    @property
    def notes(self) -> list[str]:
        """What a reader of the log should know of this file."""
        notes = []
        if self.missing:
            notes.append(f"not in the file, so null: {', '.join(self.missing)}")
        if self.undeclared:
            notes.append(f"undeclared, so kept as they are: {', '.join(self.undeclared)}")
        if any(name == "pickup_longitude" for name, _ in self.columns):
            notes.append("places are coordinates, not yet zones: zone ids are null")
        return notes

    def preview(self, rows: int = 3) -> str:
        """The first rows and the columns with their types, to be read by people."""
        with reading(self.raw, threads=1) as db:
            prepare(db)
            head = db.execute(f"{self.sql} LIMIT {rows}").df()
        types = "\n".join(f"{name:24} {kind}" for name, kind in self.columns)
        return f"{head}\n\ncolumns:\n{types}"

    def write(self, target: Path) -> MonthReport:
        """Stream the month to `target` (Parquet, zstd), rows in the file's order.

        One thread: the order and the bytes are the same each time, and a second month can use
        the other core.
        """
        began = time.monotonic()
        with replacing(target) as part, reading(self.raw, threads=1) as db:
            prepare(db)
            with watching(db, f"{self.trips} conform"), writing(target):
                done = db.execute(
                    f"COPY ({self.sql}) TO {literal(part)} "
                    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
                ).fetchone()
            rows = int(done[0]) if done else 0
            self._check(db.records(), rows, part)
            dirt = find_dirt(self.trips, part)
            size = part.stat().st_size
        return MonthReport(
            trips=self.trips,
            path=target,
            rows=rows,
            size=size,
            seconds=time.monotonic() - began,
            found={**dirt, "undeclared columns": ", ".join(self.undeclared) or 0, **db.found()},
        )

    def _check(self, before: int, rows: int, part: Path) -> None:
        """No row is dropped or doubled: what both files say of themselves is what was copied."""
        after = rows_in_footer(part)
        if not before == rows == after:
            raise Damaged(
                f"{self.raw.name} says it holds {before:,} rows, {rows:,} were read and "
                f"{after:,} written; nothing was kept"
            )


def conform(trips: TripMonth, raw: Path, rules: Rules = NO_RULES) -> Plan:
    """Match the columns of a raw file with those its colour declares, and follow the rules.

    Raises BadSchema when a column every year has is not there, or has a type that cannot be, and
    BadInput for a rule that cannot be followed.
    """
    found = header(raw)
    by_name: dict[str, list[str]] = {}
    for name in found:
        by_name.setdefault(name.strip().lower(), []).append(name)
    columns, select, missing = [], [], []
    for column in trips.service.columns:
        wanted = dict.fromkeys(name.lower() for name in (column.name, *column.was))
        sources = [source for name in wanted for source in by_name.pop(name, [])]
        if not sources:
            if column.required:
                raise BadSchema(
                    f"{raw.name} has no column {column.name}, which every {trips.color} file has; "
                    f"it holds {', '.join(found)}"
                )
            if column.optional:
                continue
            missing.append(column.name)
        secret = column.name.lower() in rules.sensitive
        values = [cast(column, source, found[source], raw.name, secret) for source in sources]
        value = f"coalesce({', '.join(values)})" if values else f"CAST(NULL AS {column.type})"
        select.append(f"{value} AS {quoted(column.name)}")
        columns.append((column.name, str(column.type)))
    undeclared = [source for sources in by_name.values() for source in sources]
    for source in undeclared:
        kind = _undeclared(found[source])
        select.append(f"CAST({quoted(source)} AS {kind}) AS {quoted(source.strip())}")
        columns.append((source.strip(), kind))
    sql = f"SELECT {', '.join(select)} FROM raw"
    if rules.types or rules.sensitive:
        other = (c.name for service in SERVICES.values() for c in service.columns)
        own = (c.name for c in trips.service.columns)
        ruled, columns[:] = rules.follow(table(trips.color), columns, raw.name, own, other)
        sql = f"SELECT {ruled} FROM ({sql})"
    return Plan(
        trips,
        raw,
        sql,
        tuple(columns),
        tuple(missing),
        tuple(name.strip() for name in undeclared),
    )


def _undeclared(kind: str) -> str:
    """The widest type of its kind: the TLC writes one and the same column in several widths."""
    if is_null(kind):
        return "VARCHAR"
    return _WIDEST.get(kind, kind)
