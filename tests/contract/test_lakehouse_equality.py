"""Contract of silver and gold: equal tables on every warehouse, built at once or by month."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from nyc_taxi.trips.months import TripMonth
from tests.support.bronze import load_trips
from tests.support.built_lakehouses import (
    JANUARY,
    MONTHS,
    empty_database,
    load_bronze,
)
from tests.support.lakehouses import (
    Lakehouse,
    name_destinations,
    on_bigquery,
    on_duckdb,
    on_postgres,
    on_spark,
)
from tests.support.report_pages import page_of


@pytest.mark.slow
def test_tables_are_equal_on_every_warehouse(duck: Lakehouse, elephant: Lakehouse) -> None:
    assert len(duck.tables()) == 19
    assert elephant.tables() == duck.tables()
    for table in duck.tables():
        assert list(elephant.columns(table)) == list(duck.columns(table)), table
        assert elephant.rows(table) == duck.rows(table), table
    assert page_of(elephant) == page_of(duck)


@pytest.mark.cluster
def test_tables_are_equal_on_spark(duck: Lakehouse, iceberg: Lakehouse) -> None:
    for table in duck.tables():
        assert list(iceberg.columns(table)) == list(duck.columns(table)), table
        assert iceberg.rows(table) == duck.rows(table), table
    assert page_of(iceberg) == page_of(duck)


@pytest.mark.slow
def test_months_one_by_one_give_the_tables_of_all_at_once(lakehouse: Lakehouse) -> None:
    expected = lakehouse.state()
    lakehouse.execute("DROP SCHEMA silver CASCADE; DROP SCHEMA gold CASCADE")
    months = sorted({str(trips.first_day) for trips in MONTHS})
    parts = ["silver", "dims", "facts"]
    for month in months:
        lakehouse.dbt.build_and_publish(months=[month], parts=parts)
        parts = ["silver", "facts"]  # dimensions once
    found = lakehouse.state()
    # Built from all months alone: hours of months without trips.
    for table in ("silver.air_quality_hourly", "silver.weather_hourly", "silver.month_builds"):
        months_found = {row[:1] for row in found[table]}
        expected[table] = [row for row in expected[table] if row[:1] in months_found]
    assert found == expected


@pytest.mark.slow
def test_tables_are_equal_on_bigquery(
    bigquery_block: str,
    month_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the emulator."""
    name_destinations(monkeypatch)
    months = [trips for trips in MONTHS if (trips.year, trips.month) == (2021, 1)]
    both = []
    for name in ("duckdb", "bigquery"):
        folder = tmp_path / name
        (folder / "clean").mkdir(parents=True)
        lakehouse = on_duckdb(folder) if name == "duckdb" else on_bigquery(folder, bigquery_block)
        load_bronze(lakehouse, folder / "clean", month_file, months)
        lakehouse.dbt.build(unit_tests=True)
        lakehouse.dbt.publish()
        both.append(lakehouse)
    first, second = both
    for table in first.tables():
        assert second.rows(table) == first.rows(table), table
    assert page_of(second) == page_of(first)
    second.dbt.build_and_publish(months=[JANUARY])
    assert second.rows("gold.trips_by_hour") == first.rows("gold.trips_by_hour")


RAW_CSV = "all_varchar = true, delim = ',', header = true, quote = '', strict_mode = false"


def real_files(real: Path) -> dict[TripMonth, Path]:
    """Months and samples that the TLC has published."""
    files = {
        TripMonth("green", *map(int, f.stem.split("_")[-1].split("-"))): f
        for f in (real / "trip-data").glob("green_*.parquet")
    }
    files[TripMonth("green", 2020, 4)] = real / "csv" / "green_tripdata_2020-04.csv.gz"
    samples = real / "samples"
    files[TripMonth("yellow", 2025, 1)] = samples / "yellow_tripdata_2025-01_sample.parquet"
    for year in (2019, 2020):
        sample = samples / f"yellow_tripdata_sample_{year}-01.csv"
        files[TripMonth("yellow", year, 1)] = sample
    files[TripMonth("fhvhv", 2021, 1)] = samples / "fhvhv_tripdata_2021-01.sample.csv"
    return files


def built_of(lakehouse: Lakehouse, files: dict[TripMonth, Path], folder: Path) -> Lakehouse:
    for trips, file in files.items():
        load_trips(lakehouse.warehouse, trips, file, folder)
    lakehouse.dbt.build_and_publish()
    return lakehouse


@pytest.mark.slow
@pytest.mark.cluster
def test_real_months_on_spark(
    real: Path, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URI", str(tmp_path / "iceberg"))
    files = real_files(real)
    (tmp_path / "duckdb").mkdir()
    duck = built_of(on_duckdb(tmp_path / "duckdb"), files, tmp_path)
    iceberg = built_of(on_spark(tmp_path, spark, f"real_{uuid4().hex}"), files, tmp_path)
    for table in duck.tables():
        assert iceberg.rows(table) == duck.rows(table), table


@pytest.mark.slow
def test_real_months(real: Path, tmp_path: Path, postgres_server: str) -> None:
    """Published files of the TLC: equal tables, and the sums of the files."""
    files = real_files(real)
    with empty_database(postgres_server) as url:
        both = []
        for kind in ("duckdb", "postgres"):
            folder = tmp_path / kind
            folder.mkdir()
            lakehouse = on_duckdb(folder) if kind == "duckdb" else on_postgres(folder, url)
            both.append(built_of(lakehouse, files, folder))
        first, second = both
        for table in first.tables():
            assert second.rows(table) == first.rows(table), table
    for trips, file in files.items():
        if trips.color == "fhvhv":
            continue
        where = f"WHERE service = '{trips.color}' AND trip_month = DATE '{trips.first_day}'"
        source = f"'{file}'" if file.suffix == ".parquet" else f"read_csv('{file}', {RAW_CSV})"
        with duckdb.connect() as raw:
            [expected] = raw.execute(
                f"SELECT count(*), sum(CAST(total_amount AS DECIMAL(18, 2))) FROM {source}"
            ).fetchall()
        assert [expected] == first.query(
            "SELECT count(*), sum(CAST(total_amount AS DECIMAL(18, 2))) FROM (SELECT service, "
            "trip_month, total_amount FROM silver.trips UNION ALL SELECT service, trip_month, "
            f"total_amount FROM silver.trips_rejected) {where}"
        ), trips
