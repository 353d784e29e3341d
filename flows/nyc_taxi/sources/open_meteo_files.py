"""Months of hours as Parquet files, one per table and month, as the lake stores them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nyc_taxi.settings import Settings
from nyc_taxi.sources.open_meteo import fetch_hours
from nyc_taxi.sources.open_meteo_months import HourlyMonth, HourlyRequest
from nyc_taxi.storage.atomic_files import atomic_write
from nyc_taxi.storage.parquet_metadata import SOURCE_VERSION


def fetch_months(request: HourlyRequest, config: Settings) -> list[Path]:
    """Fetch the months in one request and return their files, under NYC_TAXI_DATA_DIR."""
    table = request.table
    hours = fetch_hours(
        table,
        request.first_day,
        request.last_day,
        getattr(config, table.setting.removeprefix("NYC_TAXI_").lower()),
        config.open_meteo_key,
        config.timeout,
    )
    return [write_month(month, hours, config.data_dir) for month in request.months]


def write_month(month: HourlyMonth, hours: pa.Table, folder: Path) -> Path:
    """Write the hours of the month as Parquet under `folder`; return the path.

    The metadata has a digest of the values as the version of the source, so that equal values,
    fetched again, are known as such.
    """
    first, end = (pa.scalar(hour, pa.timestamp("us")) for hour in month.hours)
    times = hours["time_utc"]
    rows = hours.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, end)))
    target = folder / month.key.removeprefix("data/")
    with atomic_write(target) as part:
        pq.write_table(rows.replace_schema_metadata({SOURCE_VERSION: values_digest(rows)}), part)
    return target


def values_digest(hours: pa.Table) -> str:
    """Return 16 hex digits of the values, whenever they were fetched."""
    sink = pa.BufferOutputStream()
    values = hours.drop_columns(["fetched_at"]).combine_chunks().replace_schema_metadata()
    with pa.ipc.new_stream(sink, values.schema) as stream:
        stream.write_table(values)
    return hashlib.sha256(sink.getvalue()).hexdigest()[:16]
