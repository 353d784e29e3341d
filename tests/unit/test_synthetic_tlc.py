"""Synthetic months and site, compared with real files of the TLC where they are available."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from synthetic_tlc import Site, write_month, write_zones
from synthetic_tlc.eras import ERAS
from synthetic_tlc.site import BLOCKED_PAGE

REAL = Path(__file__).parents[3] / "shared" / "tlc"
MONTHS = [
    (color, since // 100, since % 100, rows)
    for color, eras in ERAS.items()
    for since in eras
    for rows in (10, 1_000)
]


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"the TLC's own {name} is not here")
    return path


# --- the months ---


@pytest.mark.parametrize(
    "month", [(2021, 1), (2021, 2), (2022, 1), (2023, 1), (2023, 2), (2024, 1), (2025, 1)]
)
def test_green_has_the_schema_of_the_published_file(tmp_path: Path, month: tuple[int, int]) -> None:
    published = real("trip-data/green_tripdata_{}-{:02}.parquet".format(*month))
    made = write_month(tmp_path, "green", *month, rows=100)
    assert pq.read_schema(made).equals(pq.read_schema(published).remove_metadata())


def test_yellow_has_the_names_of_the_published_file(tmp_path: Path) -> None:
    published = real("samples/yellow_tripdata_2025-01_sample.parquet")
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


@pytest.mark.few(2)
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
    published = real(f"heads/{color}_tripdata_{year}-{month:02}.csv").read_bytes()
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
    published = real("misc/taxi_zone_lookup.csv").read_text().splitlines()
    for id in (1, 56, 132, 138, 161, 236, 237, 264, 265):
        assert lines[id] == published[id]


# --- the site ---

BODY = bytes(range(256)) * 4096  # 1 MiB
NAME = "yellow_tripdata_2021-01.parquet"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "trip-data").mkdir()
    (tmp_path / "trip-data" / NAME).write_bytes(BODY)
    (tmp_path / "trip-data" / "other.parquet").write_bytes(b"other")
    with Site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{site.url}/trip-data/", timeout=5) as client:
        yield client


def test_site_answers_get_and_head(site: Site, client: httpx.Client) -> None:
    response, head = client.get(NAME, headers={"X-Probe": "1"}), client.head(NAME)
    assert (response.status_code, response.content, response.http_version) == (
        200,
        BODY,
        "HTTP/1.1",
    )
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Last-Modified", "Content-Length", "Accept-Ranges"):
        assert response.headers[name] == head.headers[name]
    assert response.headers["ETag"][0] == response.headers["ETag"][-1] == '"'
    assert response.headers["Accept-Ranges"] == "bytes"
    assert "cloudfront" in response.headers["x-cache"]

    request = site.requests[0]
    assert (request.method, request.path, request.status) == ("GET", f"/trip-data/{NAME}", 200)
    assert (request.headers["x-probe"], request.bytes_sent) == ("1", len(BODY))
    assert (site.requests[1].method, site.requests[1].bytes_sent) == ("HEAD", 0)


def test_etag_changes_with_the_content(site: Site, client: httpx.Client) -> None:
    etag = client.head(NAME).headers["ETag"]
    same = client.get(NAME, headers={"If-None-Match": f'"x", {etag}'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etag)
    (site.folder / "trip-data" / NAME).write_bytes(b"republished")
    other = client.get(NAME, headers={"If-None-Match": etag})
    assert (other.status_code, other.content) == (200, b"republished")
    assert other.headers["ETag"] != etag


@pytest.mark.parametrize(
    ("requested", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=1000000-", slice(1_000_000, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=1048570-99999999", slice(1_048_570, None)),
        ("bytes=-99999999", slice(None)),
    ],
)
def test_site_serves_a_range(client: httpx.Client, requested: str, part: slice) -> None:
    response = client.get(NAME, headers={"Range": requested})
    first, last, _ = part.indices(len(BODY))
    assert (response.status_code, response.content) == (206, BODY[part])
    assert response.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(BODY)}"


@pytest.mark.parametrize("requested", ["bytes=1048576-", "bytes=-0"])
def test_range_beyond_the_end_is_416(client: httpx.Client, requested: str) -> None:
    response = client.get(NAME, headers={"Range": requested})
    assert (response.status_code, response.headers["Content-Range"]) == (
        416,
        f"bytes */{len(BODY)}",
    )


@pytest.mark.parametrize("requested", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "x"])
def test_invalid_range_is_ignored(client: httpx.Client, requested: str) -> None:
    assert client.get(NAME, headers={"Range": requested}).status_code == 200


def test_if_range_serves_the_range_only_if_unchanged(client: httpx.Client) -> None:
    original = client.head(NAME).headers
    for unless, status in [
        (original["ETag"], 206),
        (original["Last-Modified"], 206),
        ('"old"', 200),
    ]:
        response = client.get(NAME, headers={"Range": "bytes=-9", "If-Range": unless})
        assert response.status_code == status


@pytest.mark.parametrize(
    "path", ["yellow_tripdata_2031-01.parquet", "", "%2e%2e/%2e%2e/etc/passwd"]
)
def test_missing_file_is_403(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.headers["Content-Type"]) == (403, "application/xml")
    assert b"<Error><Code>AccessDenied</Code>" in response.content


def test_cut_closes_the_connection_early(site: Site, client: httpx.Client) -> None:
    site.cut(NAME, after=300_000)
    assert client.get("other.parquet").content == b"other"
    received = bytearray()
    with (
        pytest.raises(httpx.RemoteProtocolError),
        client.stream("GET", NAME) as answer,
    ):
        assert answer.headers["Content-Length"] == str(len(BODY))
        for chunk in answer.iter_bytes():
            received += chunk
    assert received == BODY[:300_000]
    assert site.requests[-1].bytes_sent == 300_000
    assert client.get(NAME, headers={"Range": "bytes=300000-"}).content == BODY[300_000:]


def test_truncate_shortens_the_response(site: Site, client: httpx.Client) -> None:
    etag = client.head(NAME).headers["ETag"]
    site.truncate(NAME, to=1000)
    for _ in range(2):
        response = client.get(NAME)
        assert (response.content, response.headers["Content-Length"]) == (BODY[:1000], "1000")
        assert response.headers["ETag"] != etag
    site.heal()
    assert client.head(NAME).headers["ETag"] == etag


def test_answer_replaces_the_status(site: Site, client: httpx.Client) -> None:
    site.answer(429, headers={"Retry-After": "1"})
    site.answer(403, path=NAME, body=BLOCKED_PAGE)
    site.answer(503, path=NAME, times=2)
    first, second = client.get(NAME), client.get(NAME)
    assert (first.status_code, first.headers["Retry-After"]) == (429, "1")
    assert (second.status_code, second.content) == (403, BLOCKED_PAGE)
    assert client.get("other.parquet").status_code == 200
    assert [client.head(NAME).status_code for _ in range(3)] == [503, 503, 200]


def test_blocked_page_matches_cloudfront() -> None:
    published = real("broken/yellow_tripdata_2022-01.http403.parquet").read_bytes()
    assert BLOCKED_PAGE.strip() == published.strip()


@pytest.mark.parametrize("as_file", [False, True])
def test_change_replaces_file_and_etag(
    site: Site, client: httpx.Client, tmp_path: Path, as_file: bool
) -> None:
    content: bytes | Path = b"corrected"
    if as_file:
        content = tmp_path / "corrected"
        content.write_bytes(b"corrected")
    site.change(NAME, content, after_requests=2)
    head, original, changed = client.head(NAME), client.get(NAME), client.get(NAME)
    assert original.content == BODY
    assert changed.content == b"corrected"
    assert head.headers["ETag"] == original.headers["ETag"] != changed.headers["ETag"]
    resumed = client.get(NAME, headers={"Range": "bytes=5-", "If-Range": head.headers["ETag"]})
    assert (resumed.status_code, resumed.content) == (200, b"corrected")


def test_slow_limits_the_throughput(site: Site, client: httpx.Client) -> None:
    site.slow(4 * len(BODY), path=NAME)
    started = time.monotonic()
    assert client.get(NAME).content == BODY
    assert 0.2 < time.monotonic() - started < 2


def test_stall_ends_when_the_site_closes(site: Site, client: httpx.Client) -> None:
    site.stall(after=1000)
    with (
        pytest.raises(httpx.ReadTimeout),
        client.stream("GET", NAME, timeout=0.2) as answer,
    ):
        assert len(b"".join(answer.iter_raw(chunk_size=1000))) == 1000
    site.slow(10)
    with client.stream("GET", NAME), client.stream("GET", NAME):
        started = time.monotonic()
        site.close()
        assert time.monotonic() - started < 1


def test_etags_can_be_switched_off(site: Site, client: httpx.Client) -> None:
    site.no_etag()
    response = client.get(NAME, headers={"Range": "bytes=0-9"})
    assert (response.status_code, response.content) == (200, BODY)
    assert not {"etag", "accept-ranges"} & set(response.headers)


def test_site_frees_its_port_and_threads(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    threads, port = threading.active_count(), 0
    for _ in range(3):
        with Site(tmp_path, port) as site, httpx.Client() as client:
            port = int(site.url.rpartition(":")[2])
            assert client.get(f"{site.url}/file").content == b"x"
        assert threading.active_count() == threads
    with pytest.raises(RuntimeError, match="closed"):
        _ = site.url


# --- the command ---


def test_command_makes_and_serves_months(tmp_path: Path) -> None:
    mirror = [sys.executable, "-m", "synthetic_tlc"]
    root = Path(__file__).parents[2]
    make = [*mirror, "make", str(tmp_path), "yellow:2021-01", "green:2021-01", "--rows", "100"]
    subprocess.run(make, cwd=root, check=True, stdout=subprocess.DEVNULL)
    serve = [*mirror, "serve", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        serve, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        line = process.stdout.readline()
        url = line.split()[-1]
        assert line == f"serving {tmp_path} at {url}\n"
        for path in (f"trip-data/{NAME}", "misc/taxi_zone_lookup.csv"):
            assert httpx.get(f"{url}/{path}").status_code == 200
        for api in ("air quality", "weather"):
            line = process.stdout.readline()
            assert line.startswith(f"serving {api} at http://127.0.0.1:")
            assert httpx.get(line.split()[-1]).json()["error"] is True
        process.send_signal(signal.SIGTERM)
        assert (process.wait(5), process.stdout.read(), process.stderr.read()) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["make", "data", "yellow-2021"],
            "'yellow-2021' is not COLOR:YYYY-MM, such as yellow:2021-01",
        ),
        (["serve", "nowhere"], "python -m synthetic_tlc make nowhere"),
    ],
)
def test_invalid_command_prints_the_valid_ones(arguments: list[str], message: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "synthetic_tlc", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
