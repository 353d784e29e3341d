"""Paths of files: a folder name is not a partition value, and a path is not a glob pattern."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.anomalies import count_anomalies
from nyc_taxi.conform.passenger_counts import (
    ALL_TRIPS,
    count_missing_passengers,
    count_zero_passengers,
)
from nyc_taxi.conform.plan import conform
from nyc_taxi.sources.integrity import rows_in_footer
from nyc_taxi.storage.duckdb_engine import open_duckdb
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse
from nyc_taxi.warehouses.postgres.connection import find_database
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse
from tests.support.raw_files import GREEN, write_raw


class TestPaths:
    """Folder names are not partition values, and paths are not glob patterns."""

    @pytest.fixture(
        params=["VendorID=7", "PULocationID=999", "trip_type=9", "env=prod", "a[1]", "b*", "c?d"]
    )
    def folder(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        folder = tmp_path / str(request.param) / "more"
        folder.mkdir(parents=True)
        (tmp_path / "a1" / "more").mkdir(parents=True)
        (tmp_path / "bother" / "more").mkdir(parents=True)
        (tmp_path / "cad" / "more").mkdir(parents=True)
        for other in ("a1", "bother", "cad"):  # matched by the patterns
            other_trips = pa.table({"VendorID": [5, 5, 5], "passenger_count": [0, 0, 0]})
            pq.write_table(other_trips, tmp_path / other / "more" / "clean.parquet")
            pq.write_table(
                other_trips, tmp_path / other / "more" / "green_tripdata_2021-01.parquet"
            )
        return folder

    @pytest.mark.few(3)
    def test_readers_ignore_glob_and_partition_patterns_in_paths(self, folder: Path) -> None:
        raw = write_raw(folder, {"passenger_count": [0, None]})
        clean = folder / "clean.parquet"
        report = conform(GREEN, raw).write(clean)
        names = pq.read_schema(clean).names
        assert "env" not in names
        assert report.rows == 2
        assert report.anomalies["missing passengers"] == 1
        with pq.ParquetFile(clean) as file:
            assert file.read()["VendorID"].to_pylist() == [1, 2]
            assert file.read()["PULocationID"].to_pylist() == [74, 75]
        with open_duckdb() as db:
            assert count_anomalies(db, GREEN, clean)["missing passengers"] == 1
        assert count_zero_passengers(GREEN, clean, ALL_TRIPS) == 1
        with clean.open("rb") as stored:
            assert count_missing_passengers(stored) == 1

        warehouse = DuckDBWarehouse(folder.parents[1] / "warehouse.duckdb")
        assert warehouse.replace_month(GREEN, clean, {}) == 2
        with duckdb.connect(str(warehouse.path)) as db:
            query = "SELECT list(VendorID), list(PULocationID) FROM dezoomcamp.green_rides"
            assert db.execute(query).fetchone() == ([1, 2], [74, 75])
            columns = db.execute("DESCRIBE dezoomcamp.green_rides").fetchall()
            assert "env" not in [name for name, *_ in columns]

    @pytest.mark.few(2)
    def test_postgres_ignores_patterns_in_paths(self, folder: Path, postgres: str) -> None:
        clean = folder / "clean.parquet"
        conform(GREEN, write_raw(folder, {})).write(clean)
        PostgresWarehouse(find_database()).replace_month(GREEN, clean, {})
        with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
            cursor.execute(
                "SELECT array_agg(vendorid), array_agg(pulocationid) FROM dezoomcamp.green_rides"
            )
            assert cursor.fetchone() == ([1, 2], [74, 75])


def test_rows_in_footer_does_not_expand_glob_patterns(tmp_path: Path) -> None:
    for name, rows in (("a*.parquet", 3), ("ab.parquet", 2), ("a[b].parquet", 1)):
        pq.write_table(pa.table({"n": range(rows)}), tmp_path / name)
        assert rows_in_footer(tmp_path / name) == rows
