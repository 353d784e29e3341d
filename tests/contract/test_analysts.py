"""What analysts find in every warehouse: comments, lookup tables and the view `rides_labeled`."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import InvalidInputError, StorageError
from nyc_taxi.trips.descriptions import CODES
from nyc_taxi.trips.lookup_tables import LOOKUPS, lookup_rows
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.trips.rides_view import LABELS
from nyc_taxi.trips.table_comments import Comments, lookup_comments
from nyc_taxi.warehouses.base import lookup_table_name
from tests.support.processes import start, wait_until_ready
from tests.support.warehouses import (
    LOAD_SCRIPT,
    WAREHOUSES,
    EmptyWarehouse,
    empty_duckdb,
    read_comments,
    write_comment,
)

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
GREEN = TripMonth("green", 2021, 1)
FILL = {"passenger_count": 0}
KNOWN = 200
"""Zones in the table; the trips begin and end in more."""
Month = Callable[..., Path]
LABEL_NAMES = {label.name for label in LABELS}


@pytest.fixture(params=WAREHOUSES)
def place(request: pytest.FixtureRequest) -> EmptyWarehouse:
    return WAREHOUSES[request.param](request)


@pytest.fixture
def month(month_file: Callable[..., Path], tmp_path: Path) -> Month:
    """Conformed files of a month: month(trips, rows), without some columns, or with others."""

    def make(trips: TripMonth, rows: int = 2000, without: str = "", **others: pa.Array) -> Path:
        path = tmp_path / f"{trips.stem}-{rows}-{without}-{'-'.join(others)}.parquet"
        conform(trips, month_file(trips, rows)).write(path)
        table = pq.read_table(path).drop_columns([without] if without else [])
        for name, values in others.items():
            at = table.schema.get_field_index(name)
            table = table.remove_column(at) if at >= 0 else table
            table = table.append_column(name, pa.array([values] * rows))
        pq.write_table(table, path)
        return path

    return make


def lookup_file(table: str, folder: Path) -> Path:
    path = folder / f"{table}.parquet"
    pq.write_table(pa.Table.from_pylist(lookup_rows(table)), path)
    return path


def zones_file(folder: Path, *names: str) -> Path:
    """The first zones: their numbers and these columns."""
    path = folder / f"zones-{'-'.join(names)}.parquet"
    ids = list(range(1, KNOWN + 1))
    columns = {name: [f"{name} {id}" for id in ids] for name in names}
    pq.write_table(pa.table({"LocationID": pa.array(ids, pa.int16()), **columns}), path)
    return path


def load_lookups(place: EmptyWarehouse, folder: Path) -> None:
    for table in LOOKUPS:
        file = lookup_file(table, folder)
        assert place.open().replace_table(table, file, lookup_comments(table)) == len(
            lookup_rows(table)
        )
    place.open().replace_table("zones", zones_file(folder, "Borough", "Zone"))


def load_trips(place: EmptyWarehouse, month: Month) -> None:
    place.open().replace_month(YELLOW, month(YELLOW), FILL)
    place.open().replace_month(GREEN, month(GREEN, 1000), FILL)


def sums(place: EmptyWarehouse, view: str) -> list[tuple[Any, ...]]:
    found = place.query(
        "SELECT color, trip_month, count(*), sum(total_amount), sum(PULocationID), "
        f"sum(payment_type) FROM dezoomcamp.{view} GROUP BY color, trip_month ORDER BY 1, 2"
    )
    return [
        (color, day, rows, round(dollars, 2), *rest) for color, day, rows, dollars, *rest in found
    ]


def columns(place: EmptyWarehouse, view: str = "rides_labeled") -> set[str]:
    return set(read_comments(place, view)[1])


def test_comments_are_there_after_a_load_and_a_reload(place: EmptyWarehouse, month: Month) -> None:
    for _ in range(2):
        place.open().replace_month(YELLOW, month(YELLOW, without="airport_fee"), FILL)
        about, comments = read_comments(place, "yellow_rides")
        assert about
        for part in ("yellow taxis, one row per trip", "New York wall-clock", "Source: https://"):
            assert part in about
        assert [name for name, text in comments.items() if not text] == []
        assert comments["trip_distance"] == "Distance of the trip as reported by the meter (miles)."
        assert "2 = Cash" in (comments["payment_type"] or "")
    place.open().replace_month(FEBRUARY, month(FEBRUARY), FILL)  # with a column more
    assert "(US dollars)" in (read_comments(place, "yellow_rides")[1]["airport_fee"] or "")


@pytest.mark.slow_on("bigquery")
def test_views_have_comments(place: EmptyWarehouse, month: Month, tmp_path: Path) -> None:
    load_lookups(place, tmp_path)
    load_trips(place, month)
    for view in ("rides", "rides_labeled"):
        about, comments = read_comments(place, view)
        assert "one row per trip" in (about or "")
        assert [name for name, text in comments.items() if not text] == []


@pytest.mark.slow_on("bigquery")
def test_user_comment_on_undeclared_column_stays(place: EmptyWarehouse, month: Month) -> None:
    place.open().replace_month(YELLOW, month(YELLOW, weather="dry"), FILL)
    assert read_comments(place, "yellow_rides")[1]["weather"] is None
    write_comment(place, "yellow_rides", "weather", "by the airport")
    write_comment(place, "yellow_rides", "extra", "outdated")
    for _ in range(2):
        place.open().replace_month(YELLOW, month(YELLOW, weather="wet"), FILL)
        comments = read_comments(place, "yellow_rides")[1]
        assert comments["weather"] == "by the airport"
        assert (comments["extra"] or "").startswith("Miscellaneous extras")


@pytest.mark.few(1)
@pytest.mark.parametrize("then", ["Borough", "Zone"])
def test_comments_of_a_lookup_table(place: EmptyWarehouse, tmp_path: Path, then: str) -> None:
    """Of a table replaced by one of the same columns, or of others."""
    comments = Comments("About zones", {"locationid": "The 'number'"})
    place.open().replace_table("places", zones_file(tmp_path, "Zone", "remark"), comments)
    write_comment(place, "places", "remark", "by a user")
    place.open().replace_table("places", zones_file(tmp_path, then, "remark"), comments)
    about, found = read_comments(place, "places")
    assert about == "About zones"
    assert found == {"locationid": "The 'number'", then.lower(): None, "remark": "by a user"}


@pytest.mark.slow_on("bigquery")
def test_comments_belong_to_the_transaction_of_the_load(
    request: pytest.FixtureRequest, month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = empty_duckdb(request)
    place.open().replace_month(YELLOW, month(YELLOW), FILL)
    write_comment(place, "yellow_rides", "extra", "outdated")
    large = month(YELLOW, 200_000)
    monkeypatch.setenv("NYC_TAXI_MEMORY", "4MB")
    with pytest.raises(StorageError, match="NYC_TAXI_MEMORY"):
        place.open().replace_month(YELLOW, large, FILL)
    assert read_comments(place, "yellow_rides")[1]["extra"] == "outdated"


@pytest.mark.few(1)
@pytest.mark.slow_on("bigquery", "postgres")
@pytest.mark.parametrize("last", ["trips", "lookups"])
def test_rides_labeled_exists_as_soon_as_its_tables_do(
    place: EmptyWarehouse, month: Month, tmp_path: Path, last: str
) -> None:
    steps: list[Callable[[], None]] = [
        partial(load_trips, place, month),
        partial(load_lookups, place, tmp_path),
    ]
    first, second = steps if last == "lookups" else reversed(steps)
    first()
    with pytest.raises(Exception, match="rides_labeled"):
        sums(place, "rides_labeled")
    second()
    assert len(sums(place, "rides")) == 2
    assert sums(place, "rides_labeled") == sums(place, "rides")
    for code, name in (
        ("payment_type", "payment_type_name"),
        ("RatecodeID", "rate_code_name"),
        ("VendorID", "vendor_name"),
    ):
        found = place.query(f"SELECT DISTINCT {code}, {name} FROM dezoomcamp.rides_labeled")
        assert len(found) > 1
        assert dict(found) == {number: CODES[code].get(number) for number, _ in found}
    zones = place.query(
        "SELECT DISTINCT PULocationID, pickup_borough, pickup_zone, DOLocationID, "
        "dropoff_borough, dropoff_zone FROM dezoomcamp.rides_labeled"
    )
    for *pickup, where, borough, zone in zones:
        for id, *names in (pickup, (where, borough, zone)):
            known = (f"Borough {id}", f"Zone {id}")
            assert tuple(names) == (known if id <= KNOWN else (None, None))
    assert {id > KNOWN for id, *_ in zones} == {True, False}
    kinds = place.query("SELECT DISTINCT color, trip_type_name FROM dezoomcamp.rides_labeled")
    assert {name for color, name in kinds if color == "yellow"} == {None}
    assert {name for color, name in kinds if color == "green"} >= set(CODES["trip_type"].values())


@pytest.mark.slow_on("bigquery", "postgres")
def test_rides_labeled_survives_replacements(
    place: EmptyWarehouse, month: Month, tmp_path: Path
) -> None:
    place.open().replace_month(YELLOW, month(YELLOW), FILL)
    for _ in range(2):
        load_lookups(place, tmp_path)
    assert columns(place) >= LABEL_NAMES  # trip_type_name too, though no table has the codes
    load_trips(place, month)
    assert columns(place) >= LABEL_NAMES
    place.open().replace_table("zones", zones_file(tmp_path, "Zone"))
    assert columns(place) & LABEL_NAMES == LABEL_NAMES - {"pickup_borough", "dropoff_borough"}
    assert sums(place, "rides_labeled") == sums(place, "rides")
    place.open().replace_table("zones", zones_file(tmp_path, "Borough", "Zone"))
    assert columns(place) >= LABEL_NAMES
    assert sums(place, "rides_labeled") == sums(place, "rides")


@pytest.mark.slow_on("bigquery")
def test_rules_that_drop_or_hash_a_code_leave_its_name_out(
    place: EmptyWarehouse, month: Month, tmp_path: Path
) -> None:
    load_lookups(place, tmp_path)
    for trips in (YELLOW, GREEN):
        file = month(trips, without="VendorID", RatecodeID="a hash")
        place.open().replace_month(trips, file, FILL)
    assert columns(place) & LABEL_NAMES == LABEL_NAMES - {"vendor_name", "rate_code_name"}
    assert sums(place, "rides_labeled") == sums(place, "rides")
    place.open().replace_table("zones", zones_file(tmp_path, "Borough"))
    assert "pickup_zone" not in columns(place)


@pytest.mark.slow_on("bigquery", "duckdb")
def test_everything_at_once(place: EmptyWarehouse, month: Month, tmp_path: Path) -> None:
    """The load that comes last makes the view, whichever it is."""
    files = {table: lookup_file(table, tmp_path) for table in LOOKUPS}
    files["zones"] = zones_file(tmp_path, "Borough", "Zone")
    months = {trips: month(trips) for trips in (YELLOW, GREEN)}
    with ThreadPoolExecutor(4) as pool:
        loads = [
            pool.submit(place.open().replace_month, trips, file, FILL)
            for trips, file in months.items()
        ] + [pool.submit(place.open().replace_table, table, file) for table, file in files.items()]
    assert [load.result() for load in loads][:2] == [2000, 2000]
    assert len(sums(place, "rides")) == 2
    assert sums(place, "rides_labeled") == sums(place, "rides")
    assert columns(place) >= LABEL_NAMES


@pytest.mark.slow
@pytest.mark.parametrize("what", ["month", "zones"])
def test_killed_load_leaves_view_and_lookups_intact(
    place: EmptyWarehouse, month: Month, tmp_path: Path, what: str
) -> None:
    load_lookups(place, tmp_path)
    load_trips(place, month)
    before = sums(place, "rides_labeled")
    large = month(YELLOW, 100_000)
    wide = zones_file(tmp_path, "Borough", "Zone", "remark")
    code = {
        "month": LOAD_SCRIPT.format(
            address=place.address, color="yellow", year=2021, month=1, file=large, fill=FILL
        ),
        "zones": "from pathlib import Path; "
        "from nyc_taxi.warehouses.registry import open_warehouse;"
        f"w = open_warehouse({place.address!r}); print('ready', flush=True);"
        f"w.replace_table('zones', Path({str(wide)!r}))",
    }[what]
    for longest in (0.3, 1.5):
        with start("-c", code) as run:
            wait_until_ready(run)
            time.sleep(longest * random.Random(longest).uniform(0.2, 1))
            run.kill()
        assert columns(place) >= LABEL_NAMES
        place.open().replace_month(YELLOW, month(YELLOW), FILL)
        assert sums(place, "rides_labeled") == before
        for table in LOOKUPS:
            rows = len(lookup_rows(table))
            assert place.query(f"SELECT count(*) FROM dezoomcamp.{table}") == [(rows,)]


@pytest.mark.parametrize("name", ["rides_labeled", "yellow_rides_labeled"])
def test_names_of_the_views_are_reserved(name: str) -> None:
    with pytest.raises(InvalidInputError, match=name):
        lookup_table_name(name)
