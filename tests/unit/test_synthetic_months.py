"""Synthetic months and zones, compared with real files of the TLC where they are available."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from synthetic_tlc import write_month, write_zones
from synthetic_tlc.eras import ERAS
from tests.support.downloads import real_file

MONTHS = [
    (color, since // 100, since % 100, rows)
    for color, eras in ERAS.items()
    for since in eras
    for rows in (10, 1_000)
]


@pytest.mark.parametrize(
    "month", [(2021, 1), (2021, 2), (2022, 1), (2023, 1), (2023, 2), (2024, 1), (2025, 1)]
)
def test_green_has_the_schema_of_the_published_file(tmp_path: Path, month: tuple[int, int]) -> None:
    published = real_file("trip-data/green_tripdata_{}-{:02}.parquet".format(*month))
    made = write_month(tmp_path, "green", *month, rows=100)
    assert pq.read_schema(made).equals(pq.read_schema(published).remove_metadata())


def test_yellow_has_the_names_of_the_published_file(tmp_path: Path) -> None:
    published = real_file("samples/yellow_tripdata_2025-01_sample.parquet")
    made = write_month(tmp_path, "yellow", 2025, 1, rows=100)
    assert pq.read_schema(made).names == pq.read_schema(published).names


@pytest.mark.parametrize(("color", "year", "month", "rows"), MONTHS)
def test_every_era_is_written_in_any_size(
    tmp_path: Path, color: str, year: int, month: int, rows: int
) -> None:
    made = pq.ParquetFile(write_month(tmp_path, color, year, month, rows))
    layout = ERAS[color][100 * year + month]
    assert made.schema_arrow == pa.schema([(column.name, column.type) for column in layout])
    assert (made.metadata.num_rows, made.metadata.num_row_groups) == (rows, 1)
    assert made.read().num_rows == rows
    assert [path.name for path in tmp_path.iterdir()] == [
        f"{color}_tripdata_{year}-{month:02}.parquet"
    ]


@pytest.mark.parametrize("format", ["parquet", "csv.gz"])
def test_same_arguments_give_the_same_bytes(tmp_path: Path, format: str) -> None:
    def write(folder: str, seed: int) -> bytes:
        path = write_month(tmp_path / folder, "yellow", 2021, 1, 2_000, seed, format)
        return path.read_bytes()

    assert write("one", 7) == write("two", 7) != write("three", 8)


def test_large_month_has_one_row_group(tmp_path: Path) -> None:
    made = pq.ParquetFile(write_month(tmp_path, "fhv", 2021, 1, 1_500_000))
    assert (made.metadata.num_rows, made.metadata.num_row_groups) == (1_500_000, 1)


@pytest.mark.few(1)
@pytest.mark.parametrize(("color", "prefix"), [("yellow", "tpep"), ("green", "lpep")])
@pytest.mark.parametrize("rows", [1_000, 300_000])
def test_months_contain_the_known_anomalies(
    tmp_path: Path, color: str, prefix: str, rows: int
) -> None:
    trips = pq.read_table(write_month(tmp_path, color, 2021, 3, rows))
    count = {name: trips.num_rows - trips[name].null_count for name in trips.column_names}
    block = ["passenger_count", "RatecodeID", "store_and_fwd_flag", "congestion_surcharge"]
    block += ["payment_type", "trip_type"] if color == "green" else ["airport_fee"]
    assert len({count[name] for name in block}) == 1
    unsent = trips.filter(pc.is_null(trips["passenger_count"]))
    assert 0.03 < unsent.num_rows / rows < 0.09
    assert all(unsent[name].null_count == unsent.num_rows for name in block)
    if color == "yellow":
        assert unsent["payment_type"].unique().to_pylist() == [0]

    pickup, dropoff = (trips[f"{prefix}_{event}_datetime"] for event in ("pickup", "dropoff"))
    months = pc.strftime(pickup, format="%Y-%m").to_pylist()
    assert 2 <= sum(month != "2021-03" for month in months) <= 43
    assert {"2008-12", "2041-11"} <= set(months)
    assert 0 < pc.sum(pc.less_equal(dropoff, pickup)).as_py() < 0.01 * rows
    assert pc.max(trips["trip_distance"]).as_py() == 259_777.54
    assert pc.sum(pc.equal(trips["passenger_count"], 0)).as_py() > 0
    zones = set(trips["PULocationID"].unique().to_pylist())
    assert {264, 265} <= zones <= set(range(1, 266))

    voids = [i for i, total in enumerate(trips["total_amount"].to_pylist()) if total < 0]
    assert voids
    for charge, void in zip(
        trips.take([i - 1 for i in voids]).to_pylist(), trips.take(voids).to_pylist(), strict=True
    ):
        ends = ("amount", "surcharge", "extra", "tax", "fee")
        money = [name for name in void if name.endswith(ends) and void[name] is not None]
        assert charge == void | {name: -void[name] for name in money}
    assert (
        trips.group_by(sorted(set(trips.column_names) - {"ehail_fee"})).aggregate([]).num_rows
        == rows
    )


@pytest.mark.parametrize(("color", "year"), [("yellow", 2009), ("green", 2015), ("yellow", 2025)])
def test_amounts_add_up_to_the_total(tmp_path: Path, color: str, year: int) -> None:
    trips = pq.read_table(write_month(tmp_path, color, year, 1, 5_000)).to_pylist()
    ends = ("_amt", "_amount", "surcharge", "extra", "_tax", "_fee")
    for trip in trips:
        parts = {n.lower(): v or 0 for n, v in trip.items() if n.lower().endswith(ends)}
        total = parts.pop("total_amt", None) or parts.pop("total_amount")
        assert total == pytest.approx(sum(parts.values()), abs=1e-9)
        assert total == round(total, 2)


def test_csv_and_parquet_contain_the_same_trips(tmp_path: Path) -> None:
    csv = pa_csv.read_csv(write_month(tmp_path, "green", 2021, 1, 1_000, format="csv.gz"))
    parquet = pq.read_table(write_month(tmp_path, "green", 2021, 1, 1_000))
    assert csv.column_names == parquet.column_names
    for name in ("fare_amount", "total_amount", "trip_distance", "DOLocationID"):
        assert csv[name].cast(parquet[name].type) == parquet[name]
    blank = csv.filter(pc.is_null(csv["passenger_count"]))
    assert blank["VendorID"].null_count == blank["payment_type"].null_count == blank.num_rows > 0


@pytest.mark.parametrize(
    ("color", "year", "month"),
    [
        ("yellow", y, m)
        for y, m in [(2009, 1), (2010, 1), (2014, 1), (2015, 7), (2016, 7), (2017, 1)]
    ]
    + [("green", y, m) for y, m in [(2014, 1), (2015, 1), (2016, 7), (2017, 1), (2020, 1)]]
    + [("fhv", y, m) for y, m in [(2015, 1), (2017, 1), (2017, 7), (2018, 1), (2019, 1)]]
    + [("fhvhv", 2020, 1), ("yellow", 2019, 1)],
)
def test_csv_has_the_format_of_the_published_file(
    tmp_path: Path, color: str, year: int, month: int
) -> None:
    published = real_file(f"heads/{color}_tripdata_{year}-{month:02}.csv").read_bytes()
    made = gzip.decompress(
        write_month(tmp_path, color, year, month, 100, format="csv.gz").read_bytes()
    )
    head = published.index(b"\n") + 1
    while published[head : head + 1] in (b"\r", b"\n"):  # some files have blank lines
        head = published.index(b"\n", head) + 1
    assert made[:head] == published[:head]
    theirs, ours = (csv[head:].split(b"\n")[0] for csv in (published, made))
    assert ours.count(b",") == theirs.count(b",")
    assert ours.count(b'"') == theirs.count(b'"')
    assert ours.endswith(b"\r") and theirs.endswith(b"\r")


@pytest.mark.parametrize(
    "month",
    [("yellow", 2008, 12), ("green", 2013, 7), ("fhv", 2014, 12), ("fhvhv", 2019, 1)]
    + [("purple", 2021, 1), ("yellow", 2021, 13)],
)
def test_unpublished_month_is_rejected(tmp_path: Path, month: tuple[str, int, int]) -> None:
    with pytest.raises(ValueError, match=r"the first month of|unknown color|the month must be"):
        write_month(tmp_path, *month, rows=10)
    assert not list(tmp_path.iterdir())


def test_zones_have_lookup_and_shapes(tmp_path: Path) -> None:
    made = write_zones(tmp_path).read_bytes()
    lines = made.decode().split("\r\n")
    assert lines[0] == '"LocationID","Borough","Zone","service_zone"'
    assert [int(line.split(",")[0]) for line in lines[1:-1]] == list(range(1, 266))
    assert lines[264:] == ['264,"Unknown","N/A","N/A"', '265,"N/A","Outside of NYC","N/A"', ""]
    assert len({line.split(",", 1)[1] for line in lines[1:-1]}) == 262  # two names are duplicates
    published = real_file("misc/taxi_zone_lookup.csv").read_text().splitlines()
    for id in (1, 56, 132, 138, 161, 236, 237, 264, 265):
        assert lines[id] == published[id]
