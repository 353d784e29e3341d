"""ADBC, the Arrow database driver; its ingest also uses binary COPY."""

import os
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq


def run(clean: Path) -> None:
    file = pq.ParquetFile(clean)
    batches = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(16_384))
    with adbc.connect(os.environ["POSTGRES_URL"]) as db, db.cursor() as cursor:
        cursor.adbc_ingest("bench_adbc", batches, mode="replace")
        db.commit()
