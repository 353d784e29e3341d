"""Write synthetic months in the TLC's published formats."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from synthetic_tlc.csvs import CSVS, LAST_CSV, Csv, csv_fields
from synthetic_tlc.eras import ERAS, Column, Layout, era
from synthetic_tlc.trips import MONEY, REALS, TIMES, WORDS, Batch, Month
from synthetic_tlc.zones import write_zones

__all__ = ["write_month", "write_zones"]

BATCH = 250_000  # rows generated at a time
ONE_GROUP = 64 * 1024**2  # pyarrow's maximum of rows per row group
CSV_BLANKS = {"vendor", "passengers", "rate", "flag", "payment", "trip_type", "congestion"}


def write_month(
    folder: Path,
    color: str,
    year: int,
    month: int,
    rows: int,
    seed: int = 0,
    format: str = "parquet",
) -> Path:
    """Write `{color}_tripdata_{year}-{month:02}` as `parquet` or `csv.gz`, in its era's format.

    Deterministic: the same arguments give the same bytes. The file has one row group (up to 67
    million rows), as the TLC's files have. Needs a temporary file of 100 to 200 bytes per row.
    Raises ValueError for invalid arguments.
    """
    writers = {"parquet": _write_parquet, "csv.gz": _write_csv}
    if color not in ERAS:
        raise ValueError(f"unknown color {color!r}; use one of {', '.join(ERAS)}")
    if format not in writers:
        raise ValueError(f"unknown format {format!r}; use one of {', '.join(writers)}")
    if not 1 <= month <= 12 or rows < 10:
        raise ValueError("the month must be 1 to 12, and rows at least 10")
    if 100 * year + month < (first := min(ERAS[color])):
        raise ValueError(f"the first month of {color} is {first // 100}-{first % 100:02}")
    if format == "csv.gz" and (year, month) > LAST_CSV:
        raise ValueError("the last CSV files are of {}-{}".format(*LAST_CSV))

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{color}_tripdata_{year}-{month:02}.{format}"
    with TemporaryDirectory(dir=folder, prefix=".part-") as scratch:
        part = Path(scratch, path.name)
        writers[format](part, Month(color, year, month, rows, seed))
        part.replace(path)
    return path


def _batches(month: Month, layout: Layout) -> Iterator[pa.RecordBatch]:
    fields = {column.field for column in layout if column.type != pa.null()}
    schema = pa.schema([(column.name, column.type) for column in layout])
    for first in range(0, month.rows, BATCH):
        batch = Batch(month, first, min(BATCH, month.rows - first), fields)
        columns = [_column(batch, column) for column in layout]
        yield pa.record_batch(columns, schema=schema)


def _column(batch: Batch, column: Column) -> pa.Array:
    if pa.types.is_null(column.type):
        return pa.nulls(batch.size)
    values = batch[column.field]
    if column.field in WORDS:
        codes = np.where(batch["block"], 0, values) if column.blank else values
        return pa.array(WORDS[column.field], column.type).take(pa.array(codes))
    if column.field in TIMES:
        return pa.array(values.view("datetime64[s]")).cast(column.type)
    if column.field in MONEY:
        values = values / 100
    blank = batch["block"] if column.blank else None
    return pa.array(values, mask=blank, from_pandas=True).cast(column.type)


def _write_parquet(part: Path, month: Month) -> None:
    # ParquetWriter.write_batch starts a row group per batch, and 20 million rows do not fit into
    # memory, so the batches are collected in a memory-mapped file.
    layout = era(ERAS[month.color], month.number)
    arrow = part.with_suffix(".arrow")
    batches = _batches(month, layout)
    first = next(batches)
    with pa.ipc.new_file(str(arrow), first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
    with pa.memory_map(str(arrow)) as mapped:
        trips = pa.ipc.open_file(mapped).read_all()
        compression = "snappy" if month.number < 202302 else "zstd"
        with pq.ParquetWriter(part, trips.schema, compression=compression) as parquet:
            parquet.write_table(trips, row_group_size=ONE_GROUP)
        del trips


def _write_csv(part: Path, month: Month) -> None:
    form = era(CSVS[month.color], month.number)
    layout = _csv_layout(form)
    style = "all_valid" if form.quoted else "none"
    options = pa_csv.WriteOptions(include_header=False, quoting_style=style)
    quote = '"' if form.quoted else ""
    header = ",".join(f"{quote}{name}{quote}" for name in form.header.split(","))
    ending = "\n" if form.gap else "\r\n"
    with part.open("wb") as file, gzip.GzipFile("", "wb", 5, file, mtime=0) as csv:
        csv.write((header + ending + form.gap).encode())
        for batch in _batches(month, layout):
            if form.quoted:
                texts = [pc.fill_null(column.cast(pa.string()), "") for column in batch.columns]
                batch = pa.record_batch(texts, names=batch.schema.names)
            for _ in range(form.commas):
                batch = batch.append_column("", pa.nulls(batch.num_rows, pa.string()))
            buffer = pa.BufferOutputStream()
            pa_csv.write_csv(batch, buffer, options)
            csv.write(buffer.getvalue().to_pybytes().replace(b"\n", b"\r\n"))


def _csv_layout(form: Csv) -> Layout:
    def kind(field: str) -> pa.DataType:
        if field in WORDS:
            return pa.string()
        if field in TIMES:
            return pa.timestamp("s")
        return pa.float64() if field in MONEY | REALS else pa.int64()

    fields = csv_fields(form)
    return tuple(
        Column(str(place), kind(field), field, field in CSV_BLANKS)
        for place, field in enumerate(fields)
    )
