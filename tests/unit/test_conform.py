"""Conversion of the files of every era to the declared schema, without losing a value."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import CorruptFileError, InvalidValueError, SchemaMismatchError
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.schemas import SERVICES, Color
from tests.support.processes import start
from tests.support.raw_files import GREEN, sql, write_raw

ERAS: list[tuple[Color, int, int, str]] = [
    ("yellow", 2009, 1, "parquet"),
    ("yellow", 2010, 1, "parquet"),
    ("yellow", 2011, 1, "parquet"),
    ("yellow", 2016, 7, "parquet"),
    ("yellow", 2021, 1, "parquet"),
    ("yellow", 2024, 1, "parquet"),
    ("yellow", 2025, 1, "parquet"),
    ("yellow", 2026, 6, "parquet"),
    ("green", 2013, 8, "parquet"),
    ("green", 2021, 1, "parquet"),
    ("green", 2025, 1, "parquet"),
    ("green", 2026, 6, "parquet"),
    ("fhv", 2015, 1, "parquet"),
    ("fhv", 2018, 1, "parquet"),
    ("fhv", 2023, 3, "parquet"),
    ("fhvhv", 2019, 2, "parquet"),
    ("fhvhv", 2021, 1, "parquet"),
    ("fhvhv", 2025, 1, "parquet"),
    ("yellow", 2009, 1, "csv.gz"),
    ("yellow", 2010, 1, "csv.gz"),
    ("yellow", 2014, 1, "csv.gz"),
    ("yellow", 2016, 7, "csv.gz"),
    ("yellow", 2021, 1, "csv.gz"),
    ("green", 2014, 1, "csv.gz"),
    ("green", 2016, 7, "csv.gz"),
    ("green", 2017, 1, "csv.gz"),
    ("green", 2020, 4, "csv.gz"),
    ("fhv", 2015, 1, "csv.gz"),
    ("fhv", 2018, 1, "csv.gz"),
    ("fhv", 2020, 1, "csv.gz"),
    ("fhvhv", 2020, 1, "csv.gz"),
]
DECLARED = {
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR": pa.string(),
}


@pytest.mark.parametrize("era", ERAS, ids=lambda era: f"{era[0]}-{era[1]}-{era[2]:02}-{era[3]}")
def test_conform_gives_every_era_the_declared_schema(
    era: tuple[Color, int, int, str], month_file: Callable[..., Path], tmp_path: Path
) -> None:
    color, year, month, format = era
    trips = TripMonth(color, year, month)
    raw = month_file(trips, 2000, format)
    target = tmp_path / "clean.parquet"

    report = conform(trips, raw).write(target)

    written = {field.name: field.type for field in pq.read_schema(target)}
    for column in trips.service.columns:
        assert column.optional or written[column.name] == DECLARED[column.type], column.name
    assert report.rows == pq.read_metadata(target).num_rows == 2000
    some = [trips.service.pickup, *(c.name for c in trips.service.columns if c.required)]
    missing = " OR ".join(f"{name} IS NULL" for name in some if name not in ("VendorID",))
    nulls = sql(f"SELECT count(*) FILTER ({missing}) FROM '{target}'")
    assert nulls < 2000 * 0.1  # only the block of nulls


@pytest.mark.parametrize("year", [2021, 2022, 2023, 2024, 2025])
def test_conform_keeps_sums_and_counts_of_real_files(real: Path, tmp_path: Path, year: int) -> None:
    trips = TripMonth("green", year, 1)
    raw, target = real / "trip-data" / f"{trips.stem}.parquet", tmp_path / "clean.parquet"
    conform(trips, raw).write(target)
    same = """count(*), sum(total_amount), sum(VendorID), sum(passenger_count),
              count(ehail_fee), min(lpep_pickup_datetime), max(lpep_dropoff_datetime),
              sum(PULocationID * DOLocationID), sum(RatecodeID), count(store_and_fwd_flag)"""
    assert sql(f"SELECT {same} FROM '{target}'") == sql(f"SELECT {same} FROM '{raw}'")


def test_conform_keeps_the_values_of_the_course_csv(real: Path, tmp_path: Path) -> None:
    raw, target = real / "csv" / "green_tripdata_2020-04.csv.gz", tmp_path / "clean.parquet"
    conform(TripMonth("green", 2020, 4), raw).write(target)
    same = "count(*), sum(total_amount), count(VendorID), sum(PULocationID), max(DOLocationID)"
    assert sql(f"SELECT {same} FROM '{target}'") == sql(f"SELECT {same} FROM read_csv('{raw}')")
    assert sql(f"SELECT count(*) FROM '{target}'") == 35612


def test_conform_accepts_real_samples_of_other_eras(real: Path, tmp_path: Path) -> None:
    for name, trips in (
        ("yellow_tripdata_2025-01_sample.parquet", TripMonth("yellow", 2025, 1)),
        ("yellow_tripdata_sample_2019-01.csv", TripMonth("yellow", 2019, 1)),
        ("yellow_tripdata_sample_2020-01.csv", TripMonth("yellow", 2020, 1)),
    ):
        report = conform(trips, real / "samples" / name).write(tmp_path / "clean.parquet")
        assert report.rows == 10_000
        assert sql(f"SELECT count(PULocationID) FROM '{tmp_path}/clean.parquet'") == 10_000


@pytest.mark.slow
def test_conform_accepts_the_first_lines_of_all_old_csvs(real: Path, tmp_path: Path) -> None:
    """Only their first lines are available; the last line, which is cut, is omitted."""
    for head in sorted((real / "heads").iterdir()):
        color, _, date = head.stem.partition("_tripdata_")
        trips = TripMonth(color, int(date[:4]), int(date[5:]))  # type: ignore[arg-type]
        raw = tmp_path / head.name
        raw.write_bytes(head.read_bytes().rpartition(b"\n")[0] + b"\n")
        target = tmp_path / "clean.parquet"
        report = conform(trips, raw).write(target)
        assert not conform(trips, raw).undeclared, head.name
        assert report.rows > 0, head.name
        pickups = sql(f"SELECT count({trips.service.pickup}) FROM '{target}'")
        assert pickups == report.rows, head.name


def test_texts_of_2009_and_2010_are_decoded(
    month_file: Callable[..., Path], tmp_path: Path
) -> None:
    for year, payment in ((2009, "Payment_Type"), (2010, "payment_type")):
        trips = TripMonth("yellow", year, 1)
        raw, target = month_file(trips, 2000), tmp_path / f"{year}.parquet"
        plan = conform(trips, raw)
        plan.write(target)
        cards = f"count(*) FILTER (lower({payment}) IN ('credit', 'cre', 'crd'))"
        assert sql(f"SELECT {cards} FROM '{raw}'") == sql(
            f"SELECT count(*) FILTER (payment_type = 1) FROM '{target}'"
        )
        assert sql(f"SELECT count(payment_type) FROM '{target}'") == 2000
        assert sql(f"SELECT count(DISTINCT VendorID) FROM '{target}'") == 3
        assert sql(f"SELECT count(PULocationID) FROM '{target}'") == 0
        assert sql(f"SELECT count(pickup_longitude) FROM '{target}'") == 2000
        assert any("coordinates" in note for note in plan.notes)


def test_undeclared_columns_are_kept_and_reported(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {"request_source": ["App", None], "always_null": pa.nulls(2)})
    plan = conform(GREEN, raw)
    report = plan.write(tmp_path / "clean.parquet")
    assert plan.undeclared == ("request_source", "always_null")
    assert report.anomalies["undeclared columns"] == "request_source, always_null"
    assert sql(f"SELECT list(request_source) FROM '{tmp_path}/clean.parquet'") == ["App", None]


def test_values_in_other_types_are_cast_without_change(tmp_path: Path) -> None:
    raw = write_raw(
        tmp_path,
        {
            "VendorID": pa.array(["CMT", " vts "]),
            "passenger_count": pa.array([1.0, float("nan")]),
            "PULocationID": pa.array([74, None], pa.int32()),
            "payment_type": pa.array(["1", "No Charge"]),
            "total_amount": pa.array(["10.25", ""]),
            "lpep_pickup_datetime": pa.array(["2021-01-01 10:00:00", "2021-01-01 11:00:00"]),
            "lpep_dropoff_datetime": pa.array([0, 1_000_000_000], pa.timestamp("ns")),
            "ehail_fee": pa.nulls(2),
            "STORE_AND_FWD_FLAG": pa.array(["N", "Y"], pa.large_string()),
        },
    )
    conform(GREEN, raw).write(tmp_path / "clean.parquet")
    row = sql(f"""SELECT list(VendorID), list(passenger_count), list(PULocationID),
        list(payment_type), list(total_amount), max(lpep_pickup_datetime)::VARCHAR,
        max(lpep_dropoff_datetime)::VARCHAR, count(ehail_fee), list(store_and_fwd_flag)
        FROM '{tmp_path}/clean.parquet'""")
    assert row == (
        [1, 2], [1, None], [74, None], [1, 3], [10.25, None],
        "2021-01-01 11:00:00", "1970-01-01 00:00:01", 0, ["N", "Y"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("passenger_count", [1.0, 1.5], "passenger_count holds 1.5"),
        ("VendorID", ["1", "Uber"], "VendorID holds Uber"),
        ("total_amount", ["10", "ten"], "total_amount holds ten"),
        ("payment_type", ["1", "Barter"], "payment_type holds Barter"),
        ("PULocationID", [1e300, 1.0], "PULocationID holds 1e+300"),
        ("lpep_pickup_datetime", ["2021-01-01", "soon"], "lpep_pickup_datetime holds soon"),
        ("trip_distance", ["1,5", "2"], "trip_distance holds 1,5"),
    ],
)
def test_invalid_value_is_rejected_with_column_and_value(
    tmp_path: Path, column: str, values: list[Any], message: str
) -> None:
    raw = write_raw(tmp_path, {column: values})
    target = tmp_path / "out" / "clean.parquet"
    with pytest.raises(InvalidValueError) as problem:
        conform(GREEN, raw).write(target)
    assert message in str(problem.value)
    assert raw.name in str(problem.value)
    assert not [p for p in target.parent.iterdir() if not p.name.endswith(".lock")]


def test_incompatible_type_is_rejected(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {"lpep_pickup_datetime": [1, 2]})
    with pytest.raises(SchemaMismatchError, match="lpep_pickup_datetime as BIGINT"):
        conform(GREEN, raw)
    zoned = pa.array([0, 1], pa.timestamp("us", "UTC"))
    with pytest.raises(SchemaMismatchError, match=r"TIMESTAMP WITH TIME ZONE.* New York times"):
        conform(GREEN, write_raw(tmp_path, {"lpep_pickup_datetime": zoned}))


def test_file_of_another_color_is_rejected(month_file: Callable[..., Path]) -> None:
    raw = month_file(TripMonth("fhvhv", 2021, 1), 2000)
    with pytest.raises(SchemaMismatchError, match="no column VendorID, which every green file has"):
        conform(GREEN, raw)


def test_two_old_names_of_one_column_are_merged(tmp_path: Path) -> None:
    """The CSV files of fhv 2018 have two columns for the base, of which one is filled."""
    raw = tmp_path / "fhv_tripdata_2018-01.csv"
    raw.write_text(
        "Pickup_DateTime,DropOff_datetime,PUlocationID,DOlocationID,SR_Flag,"
        "Dispatching_base_number,Dispatching_base_num\n"
        '"2018-01-30 21:06:50","2018-01-30 21:15:34","56","129","","B02884",""\n'
        '"2018-01-30 21:20:36","2018-01-30 21:35:29","129","112","1","","B02885"\n'
    )
    conform(TripMonth("fhv", 2018, 1), raw).write(tmp_path / "clean.parquet")
    bases = sql(f"SELECT list(dispatching_base_num) FROM '{tmp_path}/clean.parquet'")
    assert bases == ["B02884", "B02885"]


RAGGED = (
    "VendorID,lpep_pickup_datetime,Lpep_dropoff_datetime,passenger_count,trip_distance,"
    "fare_amount,tip_amount,tolls_amount,total_amount,payment_type\n\n"
    "2,2016-07-01 00:01:22,2016-07-01 00:38:57,1,7.14,28,5.76,0,34.56,1,,\n"
    "2,2016-07-01 00:01:22,2016-07-01 00:38:57,1,7.14,28,5.76,0,{last},1,,{more}\n"
)


def test_trailing_commas_do_not_shift_columns(tmp_path: Path) -> None:
    raw = tmp_path / "green_tripdata_2016-07.csv.gz"
    raw.write_bytes(gzip.compress(RAGGED.format(last="3.5", more="").encode()))
    report = conform(TripMonth("green", 2016, 7), raw).write(tmp_path / "clean.parquet")
    assert report.rows == 2
    totals = sql(f"SELECT list(total_amount) FROM '{tmp_path}/clean.parquet'")
    assert totals == [34.56, 3.5]


def test_csv_row_with_too_many_fields_is_rejected(tmp_path: Path) -> None:
    raw = tmp_path / "green_tripdata_2016-07.csv"
    raw.write_text(RAGGED.format(last="3.5", more=",,9"))
    with pytest.raises(CorruptFileError, match=raw.name):
        conform(TripMonth("green", 2016, 7), raw).write(tmp_path / "clean.parquet")


def test_damaged_data_pages_are_rejected_and_keep_the_old_file(
    month_file: Callable[..., Path], tmp_path: Path
) -> None:
    good = month_file(GREEN, 20_000)
    target = tmp_path / "clean.parquet"
    conform(GREEN, good).write(target)
    before = target.read_bytes()
    data = bytearray(good.read_bytes())
    for at in range(200, len(data) - 8000, 97):
        data[at] ^= 0xFF
    bad = tmp_path / good.name
    bad.write_bytes(data)
    with pytest.raises((CorruptFileError, InvalidValueError), match=bad.name):
        conform(GREEN, bad).write(target)
    assert target.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_conform_is_deterministic_and_keeps_the_row_order(
    month_file: Callable[..., Path], tmp_path: Path
) -> None:
    raw = month_file(GREEN, 300_000)
    plan = conform(GREEN, raw)
    plan.write(tmp_path / "one.parquet")
    plan.write(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    column = "lpep_pickup_datetime"
    assert (
        pq.read_table(tmp_path / "one.parquet", columns=[column])[column].to_pylist()
        == pq.read_table(raw, columns=[column])[column].to_pylist()
    )


def test_report_counts_anomalies(tmp_path: Path) -> None:
    times = [f"2021-01-{day:02} 10:00:00" for day in (5, 6)]
    raw = write_raw(
        tmp_path,
        {
            "lpep_pickup_datetime": ["2008-12-31 23:00:00", times[1]],
            "lpep_dropoff_datetime": [times[0], "2021-01-06 09:59:59"],
            "passenger_count": [None, 2],
            "total_amount": [-10.0, 10.0],
            "PULocationID": [74, 265],
        },
    )
    found = conform(GREEN, raw).write(tmp_path / "clean.parquet").anomalies
    assert found == {
        "missing passengers": 1,
        "pickups outside the month": 1,
        "dropoff before pickup": 1,
        "negative totals": 1,
        "unknown zones": 1,
        "undeclared columns": 0,
    }


@pytest.mark.slow
def test_conform_succeeds_after_a_kill(month_file: Callable[..., Path], tmp_path: Path) -> None:
    trips = TripMonth("yellow", 2021, 1)
    raw, target = month_file(trips, 1_000_000), tmp_path / "clean.parquet"
    part = tmp_path / "clean.parquet.part"
    code = (
        "from pathlib import Path; from nyc_taxi.conform.plan import conform;"
        "from nyc_taxi.trips.months import TripMonth;"
        f"conform(TripMonth('yellow', 2021, 1), Path('{raw}')).write(Path('{target}'))"
    )
    with start("-c", code) as run:
        while not (part.exists() and part.stat().st_size > 0):
            assert run.poll() is None, run.communicate()[0]
        run.kill()
    assert run.returncode == -9
    assert part.exists()
    assert not target.exists()

    assert conform(trips, raw).write(target).rows == 1_000_000
    assert not part.exists()


@pytest.mark.slow
def test_conform_streams_a_file_larger_than_memory(
    month_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is one row group, which would not fit into memory."""
    trips = TripMonth("fhvhv", 2021, 1)
    raw = month_file(trips, 3_000_000)
    monkeypatch.setenv("NYC_TAXI_MEMORY", "64MB")
    assert raw.stat().st_size > 64_000_000
    assert conform(trips, raw).write(tmp_path / "clean.parquet").rows == 3_000_000


@pytest.mark.parametrize("color", SERVICES)
def test_schema_names_are_unambiguous(color: Color) -> None:
    columns = SERVICES[color].columns
    names = [name.lower() for c in columns for name in {c.name.lower(), *c.aliases}]
    assert len(names) == len(set(names))
