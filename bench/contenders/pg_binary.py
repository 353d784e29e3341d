"""Only this project's COPY: stream Parquet as binary rows into an existing table."""

import os
from contextlib import closing
from pathlib import Path

import psycopg2
import pyarrow.parquet as pq

from nyc_taxi.warehouses.postgres.binary_copy import Feed, encode


def run(clean: Path) -> None:
    file = pq.ParquetFile(clean)
    names = ", ".join(file.schema_arrow.names)
    with closing(psycopg2.connect(os.environ["POSTGRES_URL"])) as db, db, db.cursor() as cursor:
        cursor.execute("TRUNCATE bench_copy")
        feed = Feed(encode(file.iter_batches(4096)))
        cursor.copy_expert(f"COPY bench_copy ({names}) FROM STDIN (FORMAT binary)", feed)
