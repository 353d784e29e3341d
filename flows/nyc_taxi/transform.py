"""The course's transform: missing passenger counts become 0, which the TLC's files never say."""

from collections.abc import Mapping
from typing import BinaryIO

import pyarrow.parquet as pq

from nyc_taxi.engine import quoted
from nyc_taxi.months import TripMonth

PASSENGERS = "passenger_count"


def passengers_fill(trips: TripMonth) -> dict[str, int]:
    """The columns whose nulls are replaced, with the value; none where nobody is counted."""
    return {PASSENGERS: 0} if trips.service.column(PASSENGERS) else {}


def filled(fill: Mapping[str, int]) -> str:
    """A SELECT list: all columns, the nulls of those in `fill` replaced. DuckDB's SQL."""
    values = (
        f"coalesce({quoted(name)}, {value}) AS {quoted(name)}" for name, value in fill.items()
    )
    return f"* REPLACE ({', '.join(values)})" if fill else "*"


def missing(parquet: BinaryIO) -> int:
    """Trips without a passenger count, from the file's footer: the trips themselves stay there."""
    footer = pq.read_metadata(parquet)
    names = [footer.schema.column(i).name for i in range(footer.num_columns)]
    if PASSENGERS not in names:
        return 0
    column = names.index(PASSENGERS)
    groups = (footer.row_group(i).column(column) for i in range(footer.num_row_groups))
    return sum(group.statistics.null_count for group in groups)
