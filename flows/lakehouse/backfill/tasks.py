"""Steps of the flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from prefect import get_run_logger

from lakehouse.bronze.flow import bronze
from lakehouse.bronze.plan import Mode
from lakehouse.layers import build_layers
from nyc_taxi.errors import NycTaxiError, PartialFailureError
from nyc_taxi.orchestration.artifacts import publish_reports
from nyc_taxi.transform.metrics import LayerMetrics
from nyc_taxi.trips.date_ranges import date_range

from .chunks import Chunk, ChunkMode, chunks
from .progress import BRONZE, DONE, PENDING, BackfillProgress


@dataclass
class Backfill:
    chunks: list[Chunk]
    progress: BackfillProgress
    loaded: set[str] = field(default_factory=set)
    """Months whose bronze this run has loaded."""
    metrics: list[LayerMetrics] = field(default_factory=list)

    def run(self, number: int) -> None:
        """Bring a chunk to gold, from where an earlier run has left it."""
        chunk = self.chunks[number]
        if self.progress[number] == PENDING:
            # Months are loaded as a whole: once is enough for all chunks of a month.
            mode: Mode = "upsert" if self.loaded.issuperset(chunk.months) else "backfill"
            bronze(mode, chunk.start, chunk.end)
            self.progress[number] = BRONZE
        self.loaded.update(chunk.months)
        if self.progress[number] == BRONZE:
            self.metrics += build_layers(months=chunk.months, dims=not self.metrics)
            self.progress[number] = DONE


def plan_chunks(start: date, end: date, mode: ChunkMode) -> Backfill:
    planned = [*chunks(*date_range(start, end), mode)]
    return Backfill(planned, BackfillProgress(f"{start}_{end}_{mode}", planned))


def run_chunks(backfill: Backfill) -> int:
    """Run all chunks; return their number. Raises PartialFailureError that names those failed."""
    failed: dict[Chunk, BaseException | None] = {}
    for number, chunk in enumerate(backfill.chunks):
        try:
            backfill.run(number)
        except NycTaxiError as problem:
            get_run_logger().error("chunk %s failed: %s", chunk, problem)
            failed[chunk] = problem
    publish_reports(backfill.metrics, "backfill-metrics", failed)
    if failed:
        reasons = "; ".join(f"{chunk}: {problem}" for chunk, problem in failed.items())
        raise PartialFailureError(
            f"{len(failed)} of {len(backfill.chunks)} chunks failed: {reasons}; rerun for the rest"
        )
    return len(backfill.chunks)
