"""A raw file of any year becomes its colour's one schema, in one streamed pass.

Columns are renamed, re-typed and decoded by one SQL expression each, so memory does not grow with
the file. No value is guessed: one that does not fit its type ends the pass with an error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from nyc_taxi.conform.anomalies import MonthReport, count_anomalies
from nyc_taxi.conform.casts import Counters, cast, differ, is_zoned, undeclared
from nyc_taxi.conform.column_names import check_names, normalize_name
from nyc_taxi.conform.column_rules import EMPTY_RULES, Rules, define_keyed_hash
from nyc_taxi.conform.readers import open_raw, read_header
from nyc_taxi.conform.trip_column_rules import table
from nyc_taxi.errors import CorruptFileError, SchemaMismatchError
from nyc_taxi.settings import Settings
from nyc_taxi.sources.downloads import discard_if_corrupt, downloaded_version
from nyc_taxi.sources.integrity import rows_in_footer
from nyc_taxi.storage.atomic_files import atomic_write, translate_os_errors
from nyc_taxi.storage.duckdb_engine import Database, literal, quoted
from nyc_taxi.storage.progress import query_progress_bar
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Column


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
    zoned: tuple[str, ...]
    """Those of them whose times had a time zone: UTC in the result."""
    counters: Counters

    @property
    def notes(self) -> list[str]:
        """What a reader of the log should know of this file."""
        notes = []
        if self.missing:
            notes.append(f"not in the file, so null: {', '.join(self.missing)}")
        if self.undeclared:
            notes.append(f"undeclared, so kept as they are: {', '.join(self.undeclared)}")
        if self.zoned:
            notes.append(f"times with a time zone, so in UTC: {', '.join(self.zoned)}")
        if any(name == "pickup_longitude" for name, _ in self.columns):
            notes.append("places are coordinates, not yet zones: zone ids are null")
        return notes

    def preview(self, rows: int = 3) -> str:
        """The first rows and the columns with their types, to be read by people."""
        with open_raw(self.raw, threads=1) as db:
            self._prepare(db)
            head = db.execute(f"{self.sql} LIMIT {rows}").df()
        types = "\n".join(f"{name:24} {kind}" for name, kind in self.columns)
        return f"{head}\n\ncolumns:\n{types}"

    def write(self, target: Path) -> MonthReport:
        """Stream the month to `target` (Parquet, zstd), rows in the file's order.

        One thread: the order and the bytes are the same each time, and a second month can use
        the other core.
        """
        began = time.monotonic()
        with atomic_write(target) as part, open_raw(self.raw, threads=1) as db:
            self._prepare(db)
            with query_progress_bar(db, f"{self.trips} conform"), translate_os_errors(target):
                done = db.execute(
                    f"COPY ({self.sql}) TO {literal(part)} "
                    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
                ).fetchone()
            rows = int(done[0]) if done else 0
            self._check(db.records(), rows, part)
            found = {**count_anomalies(self.trips, part), **self.counters.read(db), **db.found()}
            size = part.stat().st_size
        return MonthReport(
            trips=self.trips,
            path=target,
            rows=rows,
            size=size,
            seconds=time.monotonic() - began,
            anomalies={**found, "undeclared columns": ", ".join(self.undeclared) or 0},
        )

    def _prepare(self, db: Database) -> None:
        define_keyed_hash(db)
        self.counters.create(db)
        # By the statistics in a footer DuckDB would take `isnan` for false: they leave NaN out.
        db.execute("SET disabled_optimizers = 'statistics_propagation'")

    def _check(self, before: int, rows: int, part: Path) -> None:
        """No row is dropped or doubled: what both files say of themselves is what was copied."""
        after = rows_in_footer(part)
        if not before == rows == after:
            raise CorruptFileError(
                f"{self.raw.name} says it holds {before:,} rows, {rows:,} were read and "
                f"{after:,} written; nothing was kept"
            )


def conform(trips: TripMonth, raw: Path, rules: Rules = EMPTY_RULES) -> Plan:
    """Match the columns of a raw file with the schema of its color, and apply the rules.

    Raises SchemaMismatchError if a required column is missing or has an impossible type, or a name
    is one that a warehouse rejects; InvalidInputError for a rule that does not apply to the file.
    """
    found = read_header(raw)
    by_name: dict[str, list[str]] = {}
    for name in found:
        by_name.setdefault(normalize_name(name), []).append(name)
    own = [column.name for column in trips.service.columns]
    select, columns, missing, counters = [], [], [], Counters()
    for column in trips.service.columns:
        wanted = dict.fromkeys(normalize_name(name) for name in (column.name, *column.aliases))
        sources = [source for name in wanted for source in by_name.pop(name, [])]
        if not sources:
            if column.required:
                raise SchemaMismatchError(
                    f"{raw.name} has no column {column.name}, which every {trips.color} file has; "
                    f"it holds {', '.join(found)}"
                )
            if column.optional:
                continue
            missing.append(column.name)
        if rules.action(column.name) == "drop":
            continue
        secret = rules.action(column.name) == "hash"
        value = _declared(column, {s: found[s] for s in sources}, raw.name, secret, counters)
        select.append(f"{value} AS {quoted(column.name)}")
        columns.append((column.name, str(column.type)))
    others = [source for sources in by_name.values() for source in sources]
    own += (name for name in others if rules.action(name) == "drop")
    others = [name for name in others if rules.action(name) != "drop"]
    check_names([*(name for name, _ in columns), *(name.strip() for name in others)], raw.name)
    for source in others:
        secret, kind = rules.action(source) == "hash", rules.type(table(trips.color), source)
        value, made = undeclared(source, found[source], raw.name, kind, secret, counters)
        select.append(f"{value} AS {quoted(source.strip())}")
        columns.append((source.strip(), made))
    sql = f"SELECT {', '.join(select)} FROM raw"
    if rules.types or rules.sensitive:
        other = (c.name for service in SERVICES.values() for c in service.columns)
        ruled, columns[:] = rules.follow(table(trips.color), columns, raw.name, own, other)
        sql = f"SELECT {ruled} FROM ({sql})"
    return Plan(
        trips,
        raw,
        sql,
        tuple(columns),
        tuple(missing),
        tuple(name.strip() for name in others),
        tuple(name.strip() for name in others if is_zoned(found[name])),
        counters,
    )


def _declared(
    column: Column, sources: dict[str, str], file: str, secret: bool, counters: Counters
) -> str:
    """SQL of a declared column, from the one or more columns of the file that hold it."""
    values = [cast(column, s, kind, file, secret, counters) for s, kind in sources.items()]
    if len(values) < 2:
        return values[0] if values else f"CAST(NULL AS {column.type})"
    plain = {s: cast(column, s, kind, file, secret) for s, kind in sources.items()}
    if column.type == "VARCHAR":
        values = [f"nullif(trim({value}), '')" for value in values]
    return f"coalesce({differ(plain, column.type, secret)}, {', '.join(values)})"


def write_month(plan: Plan, config: Settings) -> MonthReport:
    """Write the month as Parquet to the data folder; a damaged download is deleted."""
    target = config.data_dir / plan.trips.color / f"{plan.trips.stem}.parquet"
    version = downloaded_version(plan.raw, config.source_url)  # another run may replace the file
    with discard_if_corrupt(plan.raw, config.source_url):
        return replace(plan.write(target), version=version)
