"""COPY with psycopg2 from CSV that Arrow writes on the fly."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nyc_taxi.warehouses.postgres.binary_copy import Feed


def run(clean: Path) -> None:
    file = pq.ParquetFile(clean)
    names = ", ".join(file.schema_arrow.names)

    def chunks() -> Iterator[bytes]:
        for batch in file.iter_batches(16_384):
            text = pa.BufferOutputStream()
            pa_csv.write_csv(batch, text, pa_csv.WriteOptions(include_header=False))
            yield text.getvalue().to_pybytes()

    with closing(psycopg2.connect(os.environ["POSTGRES_URL"])) as db, db, db.cursor() as cursor:
        cursor.execute("TRUNCATE bench_copy")
        cursor.copy_expert(f"COPY bench_copy ({names}) FROM STDIN (FORMAT csv)", Feed(chunks()))
