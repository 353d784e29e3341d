"""Plan that converts a raw file of any year to the declared schema of its color.

One SQL expression per column renames, casts and decodes it, and one pass streams the file, so that
memory does not grow with its size. A value that does not fit its type ends the pass with an error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.conform.anomalies import MonthReport, count_anomalies
from nyc_taxi.conform.casts import (
    cast_column,
    cast_undeclared,
    is_zoned,
    non_blank,
    reject_conflicts,
)
from nyc_taxi.conform.column_names import check_names, normalize_name
from nyc_taxi.conform.column_rules import EMPTY_RULES, Rules
from nyc_taxi.conform.counters import Counters
from nyc_taxi.conform.hashing import define_keyed_hash
from nyc_taxi.conform.readers import open_raw, read_header
from nyc_taxi.conform.trip_column_rules import rides_table
from nyc_taxi.errors import CorruptFileError, SchemaMismatchError
from nyc_taxi.settings import Settings
from nyc_taxi.sources.file_versions import discard_if_corrupt, downloaded_version
from nyc_taxi.sources.integrity import rows_in_footer
from nyc_taxi.storage.atomic_files import atomic_write, translate_os_errors
from nyc_taxi.storage.duckdb_engine import Database, literal, quoted
from nyc_taxi.storage.parquet_metadata import SOURCE_VERSION
from nyc_taxi.storage.progress import query_progress_bar
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Column


@dataclass(frozen=True)
class Plan:
    """Conversion of one raw file, of which only the header has been read so far."""

    trips: TripMonth
    raw: Path
    sql: str
    """Query on the view `raw`."""
    columns: tuple[tuple[str, str], ...]
    """(name, DuckDB type) of the result."""
    missing: tuple[str, ...]
    """Declared columns that the file does not have; null in the result."""
    undeclared: tuple[str, ...]
    """Columns of the file that are not in the declared schema; kept."""
    zoned: tuple[str, ...]
    """Undeclared columns with a time zone; UTC in the result."""
    counters: Counters

    @property
    def notes(self) -> list[str]:
        """Return lines for the log about missing and undeclared columns."""
        notes = []
        if self.missing:
            notes.append(f"missing columns, filled with nulls: {', '.join(self.missing)}")
        if self.undeclared:
            notes.append(f"undeclared columns, kept unchanged: {', '.join(self.undeclared)}")
        if self.zoned:
            notes.append(f"columns with a time zone, converted to UTC: {', '.join(self.zoned)}")
        if any(name == "pickup_longitude" for name, _ in self.columns):
            notes.append("locations are coordinates instead of zones, so zone ids are null")
        return notes

    def preview(self, rows: int = 3) -> str:
        """Return the first rows, and the columns with their types, as text."""
        with open_raw(self.raw, threads=1) as db:
            self._prepare(db)
            head = db.execute(f"{self.sql} LIMIT {rows}").df()
        types = "\n".join(f"{name:24} {kind}" for name, kind in self.columns)
        return f"{head}\n\ncolumns:\n{types}"

    def write(self, target: Path, version: str | None = None) -> MonthReport:
        """Stream the month to `target` (Parquet, zstd), with the rows in the file's order.

        `version`: version of the raw file, kept in the metadata of `target`.
        It runs in one thread, so that the bytes are the same each time, and a second month can use
        another core.
        """
        started = time.monotonic()
        metadata = f", KV_METADATA {{{SOURCE_VERSION}: {literal(version)}}}" if version else ""
        with atomic_write(target) as part, open_raw(self.raw, threads=1) as db:
            self._prepare(db)
            with query_progress_bar(db, f"{self.trips} conform"), translate_os_errors(target):
                result = db.execute(
                    f"COPY ({self.sql}) TO {literal(part)} "
                    f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1{metadata})"
                ).fetchone()
            rows = int(result[0]) if result else 0
            self._check_row_counts(db.records(), rows, part)
            anomalies = {
                **count_anomalies(db, self.trips, part),
                **self.counters.read(db),
                **db.anomalies(),
                "undeclared columns": ", ".join(self.undeclared) or 0,
            }
            size = part.stat().st_size
        return MonthReport(
            trips=self.trips,
            path=target,
            rows=rows,
            size=size,
            seconds=time.monotonic() - started,
            anomalies=anomalies,
            version=version,
        )

    def _prepare(self, db: Database) -> None:
        define_keyed_hash(db)
        self.counters.create(db)
        # Statistics in a footer ignore NaN, so DuckDB would replace `isnan` with false.
        db.execute("SET disabled_optimizers = 'statistics_propagation'")

    def _check_row_counts(self, before: int, rows: int, part: Path) -> None:
        """Raise CorruptFileError if a row was lost or duplicated."""
        after = rows_in_footer(part)
        if not before == rows == after:
            raise CorruptFileError(
                f"{self.raw.name} has {before:,} rows, but {rows:,} were read and {after:,} "
                "written; nothing was kept"
            )


def conform(trips: TripMonth, raw: Path, rules: Rules = EMPTY_RULES) -> Plan:
    """Match the columns of a raw file with the schema of its color, and apply the rules.

    Raises SchemaMismatchError if a required column is missing, a type cannot be cast, or a
    warehouse would reject a name; InvalidInputError for a rule that does not apply to the file.
    """
    header = read_header(raw)
    by_name: dict[str, list[str]] = {}
    for name in header:
        by_name.setdefault(normalize_name(name), []).append(name)
    table, known = rides_table(trips.color), [column.name for column in trips.service.columns]
    select, columns, missing, counters = [], [], [], Counters()
    for column in trips.service.columns:
        keys = dict.fromkeys(normalize_name(name) for name in (column.name, *column.aliases))
        sources = [source for key in keys for source in by_name.pop(key, [])]
        if not sources:
            if column.required:
                raise SchemaMismatchError(
                    f"{raw.name} has no column {column.name}, which every {trips.color} file has; "
                    f"it has {', '.join(header)}"
                )
            if column.optional:
                continue
            missing.append(column.name)
        action = rules.action(column.name)
        if action == "drop":
            continue
        kinds = {source: header[source] for source in sources}
        value = _cast_sources(column, kinds, raw.name, action == "hash", counters)
        select.append(f"{value} AS {quoted(column.name)}")
        columns.append((column.name, str(column.type)))
    others = [source for sources in by_name.values() for source in sources]
    known += (name for name in others if rules.action(name) == "drop")
    others = [name for name in others if rules.action(name) != "drop"]
    check_names([*(name for name, _ in columns), *(name.strip() for name in others)], raw.name)
    for source in others:
        secret, rule = rules.action(source) == "hash", rules.type(table, source)
        value, kind = cast_undeclared(source, header[source], raw.name, rule, secret, counters)
        select.append(f"{value} AS {quoted(source.strip())}")
        columns.append((source.strip(), kind))
    sql = f"SELECT {', '.join(select)} FROM raw"
    if rules.types or rules.sensitive:
        elsewhere = (c.name for service in SERVICES.values() for c in service.columns)
        ruled, columns[:] = rules.apply(table, columns, raw.name, known, elsewhere)
        sql = f"SELECT {ruled} FROM ({sql})"
    return Plan(
        trips,
        raw,
        sql,
        tuple(columns),
        tuple(missing),
        tuple(name.strip() for name in others),
        tuple(name.strip() for name in others if is_zoned(header[name])),
        counters,
    )


def _cast_sources(
    column: Column, sources: dict[str, str], file: str, secret: bool, counters: Counters
) -> str:
    """Return SQL of a declared column, from the columns of the file that contain it.

    `sources`: DuckDB type by name. If there are several, a row may have only one distinct value.
    """
    values = [cast_column(column, s, kind, file, secret, counters) for s, kind in sources.items()]
    if len(values) < 2:
        return values[0] if values else f"CAST(NULL AS {column.type})"
    uncounted = {s: cast_column(column, s, kind, file, secret) for s, kind in sources.items()}
    if column.type == "VARCHAR":
        values = [non_blank(value) for value in values]
    conflict = reject_conflicts(uncounted, column.type, secret)
    return f"coalesce({conflict}, {', '.join(values)})"


def write_month(plan: Plan, config: Settings) -> MonthReport:
    """Write the month as Parquet to the data folder; delete a download that proves corrupt."""
    target = config.data_dir / plan.trips.color / f"{plan.trips.stem}.parquet"
    version = downloaded_version(plan.raw, config.source_url)  # before another run replaces it
    with discard_if_corrupt(plan.raw, config.source_url):
        return plan.write(target, version)
