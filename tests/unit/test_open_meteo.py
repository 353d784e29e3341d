"""Open-Meteo: requests, refusals, and months of hours as files."""

from __future__ import annotations

import gzip
import json
import os
import re
import traceback
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from nyc_taxi.errors import (
    CorruptFileError,
    InvalidInputError,
    NotPublishedError,
    SourceError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.settings import Settings, settings
from nyc_taxi.sources.open_meteo import fetch_hours, request_url
from nyc_taxi.sources.open_meteo_files import write_month
from nyc_taxi.sources.open_meteo_months import HourlyMonth, hourly_months
from nyc_taxi.sources.open_meteo_tables import (
    AIR_QUALITY,
    HOURLY_TABLES,
    POINTS,
    WEATHER,
    HourlyTable,
)
from synthetic_tlc.open_meteo import OpenMeteo

FIRST, LAST = date(2024, 5, 1), date(2024, 5, 2)
KEY = "SgT0pSecretKey"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def shared_server() -> Iterator[OpenMeteo]:
    with OpenMeteo(key=KEY) as server:
        yield server


@pytest.fixture
def server(shared_server: OpenMeteo, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenMeteo]:
    monkeypatch.setenv("SSL_CERT_DIR", os.fspath(Path(__file__).parent))  # the CAs are not needed
    shared_server.requests.clear()
    yield shared_server
    shared_server.heal()


def fetch(
    server: OpenMeteo,
    table: HourlyTable = WEATHER,
    first: date = FIRST,
    last: date = LAST,
    key: str = "",
) -> pa.Table:
    url = server.weather_url if table is WEATHER else server.air_quality_url
    return fetch_hours(table, first, last, url, SecretStr(key) if key else None, timeout=5)


# --- requests ---


@pytest.mark.parametrize("table", HOURLY_TABLES, ids=lambda table: table.folder)
def test_range_of_all_points_is_one_request(server: OpenMeteo, table: HourlyTable) -> None:
    hours = fetch(server, table)
    assert len(server.requests) == 1
    assert hours.schema.names == [
        "location",
        "time_utc",
        *(column.name for column in table.columns),
        "fetched_at",
    ]
    assert hours.num_rows == 2 * 24 * len(POINTS)
    assert hours.schema.field("time_utc").type == pa.timestamp("us")
    assert pc.min_max(hours["time_utc"]).as_py() == {
        "min": datetime(2024, 5, 1),
        "max": datetime(2024, 5, 2, 23),
    }
    assert set(hours["location"].to_pylist()) == set(POINTS)
    for column in table.columns:
        kind = pa.int64() if column.type == "BIGINT" else pa.float64()
        assert hours.schema.field(column.name).type == kind
        assert hours[column.name].null_count == 0


def test_future_hours_are_left_out(server: OpenMeteo) -> None:
    """Open-Meteo fills the rest of today with a forecast."""
    today = datetime.now(UTC).date()
    before = datetime.now(UTC).replace(tzinfo=None)
    hours = fetch(server, AIR_QUALITY, today, today)
    newest = pc.max(hours["time_utc"]).as_py()
    assert before - timedelta(hours=1) < newest <= datetime.now(UTC).replace(tzinfo=None)


def test_values_are_null_where_the_model_has_none(server: OpenMeteo) -> None:
    """Whole hours of the archive have been null for days (open-meteo issues 914 and 2122)."""
    hours = fetch(server, WEATHER, date(2024, 7, 15), date(2024, 7, 15))
    missing = hours.filter(pc.equal(hours["time_utc"], datetime(2024, 7, 15)))
    assert missing["temperature_2m"].null_count == missing["weather_code"].null_count == 6
    air = fetch(server, AIR_QUALITY, date(2022, 7, 31), date(2022, 8, 1))
    assert air["ozone"].null_count == 24 * 6
    assert air["us_aqi_pm2_5"].null_count > air["ozone"].null_count


def test_key_goes_to_the_customers_host_and_into_no_message(
    server: OpenMeteo, caplog: pytest.LogCaptureFixture
) -> None:
    key = SecretStr(f" {KEY}\n")
    for table in HOURLY_TABLES:
        default = str(
            Settings.model_fields[table.setting.removeprefix("NYC_TAXI_").lower()].default
        )
        url = request_url(table, FIRST, LAST, default, key)
        assert url.startswith(default.replace("https://", "https://customer-"))
        assert parse_qs(urlsplit(url).query)["apikey"] == [KEY]
        assert request_url(table, FIRST, LAST, default).startswith(f"{default}?latitude=40.7831,")
        customers = default.replace("https://", "https://customer-")
        assert request_url(table, FIRST, LAST, customers, key) == url
    assert fetch(server, key=KEY).num_rows
    with pytest.raises(SourceRefusedError, match="The supplied API key is invalid") as caught:
        fetch(server, key="another-key")
    assert "NYC_TAXI_OPEN_METEO_KEY" in str(caught.value)
    server.answer(400, body=json.dumps({"error": True, "reason": f"key {KEY} expired"}).encode())
    with pytest.raises(SourceRefusedError, match=r"key \.\.\. expired") as caught:
        fetch(server, key=KEY)
    assert KEY not in str(caught.value) + caplog.text


@pytest.mark.parametrize("url", ["archive", "ftp://host/v1", "http://", "https:///v1", "data/tlc"])
@pytest.mark.parametrize("table", HOURLY_TABLES, ids=lambda table: table.folder)
def test_invalid_url_is_an_invalid_setting(
    monkeypatch: pytest.MonkeyPatch, table: HourlyTable, url: str
) -> None:
    monkeypatch.setenv(table.setting, url)
    with pytest.raises(InvalidInputError, match=rf"{table.setting} is invalid: .*https\?://"):
        settings()


def test_url_without_a_valid_host_is_refused() -> None:
    with pytest.raises(SourceRefusedError, match="invalid URL; check NYC_TAXI_WEATHER_URL"):
        fetch_hours(WEATHER, FIRST, LAST, "http://[::1/v1/archive")


def test_query_of_a_url_is_kept() -> None:
    url = request_url(WEATHER, FIRST, LAST, " http://host/v1/archive?models=era5 ", SecretStr("k"))
    assert url.startswith("http://host/v1/archive?models=era5&latitude=")
    assert url.endswith("&apikey=k")


# --- refusals and failures ---


def reason(text: str) -> bytes:
    return json.dumps({"error": True, "reason": text}).encode()


MINUTELY = reason("Minutely API request limit exceeded. Please try again in one minute.")
DAILY = reason("Daily API request limit exceeded. Please try again tomorrow.")


def test_limit_of_a_minute_is_waited_for(server: OpenMeteo) -> None:
    """Open-Meteo sends a reason and no Retry-After; a proxy in front of it may send one."""
    server.answer(429, body=MINUTELY, headers={"Retry-After": "1"})
    assert fetch(server).num_rows
    assert [request.status for request in server.requests] == [429, 200]


def test_limit_of_a_minute_longer_than_the_wait_is_refused(
    server: OpenMeteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_WAIT", "30")
    server.answer(429, body=MINUTELY)
    with pytest.raises(SourceRefusedError, match=r"asks to wait 61 s .* NYC_TAXI_WAIT=30"):
        fetch(server)


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (429, DAILY, SourceRefusedError, "limit .* reached .*Daily API request limit exceeded"),
        (429, reason("Too many concurrent requests"), TransientSourceError, "concurrent requests"),
        (429, b"", SourceRefusedError, "no reason given.*NYC_TAXI_OPEN_METEO_KEY"),
        (400, reason("Parameter 'x' is wrong"), SourceRefusedError, "HTTP 400 .*'x' is wrong"),
        (401, reason("API key required."), SourceRefusedError, "API key required.*OPEN_METEO_KEY"),
        (403, b"<html>blocked</html>", SourceRefusedError, "HTTP 403 .*no reason given"),
        (404, b"", NotPublishedError, "check NYC_TAXI_WEATHER_URL"),
        (502, b"<html><h1>502 Bad Gateway</h1>", TransientSourceError, "temporarily unavailable"),
        (
            503,
            reason("Server overloaded."),
            TransientSourceError,
            "HTTP 503 .*: Server overload",
        ),
        (
            200,
            reason("Something went wrong."),
            TransientSourceError,
            "the error 'Something went",
        ),
        (
            200,
            b"Unexpected error while streaming data: timeoutReached",
            TransientSourceError,
            "sent a response that ends with 'Unexpected error .*: timeoutReached'; rerun",
        ),
        (
            200,
            b'[{"latitude":40.8,"hourly":{"time":["2024-Unexpected error while streaming data: x',
            TransientSourceError,
            "ends with 'Unexpected error",
        ),
        (200, b'[{"latitude":40.8,"hourly":{"ti', TransientSourceError, "ends after 31 bytes"),
        (200, b"", CorruptFileError, "an empty file instead of JSON"),
        (200, b"<!DOCTYPE html><p>Log in", CorruptFileError, "a web page instead of JSON"),
        (200, b"\x1f\x8b\x08\0", CorruptFileError, "a gzip file instead of JSON"),
        (
            200,
            b'[{"latitude":nan,"longitude":1,"a":"b","c":"d","e":"f"}]',
            CorruptFileError,
            "not JSON",
        ),
        (200, b'[{"latitude":NaN}]', CorruptFileError, "it contains NaN"),
        (200, b"[]", CorruptFileError, "0 locations instead of 6"),
        (200, b"{}", CorruptFileError, "1 locations instead of 6"),
        (200, b"[1,2,3,4,5,6]", CorruptFileError, "6 locations instead of 6"),
    ],
)
def test_failure_is_one_line(
    server: OpenMeteo, status: int, body: bytes, error: type[Exception], message: str
) -> None:
    server.answer(status, body=body)
    with pytest.raises(error, match=message) as caught:
        fetch(server)
    text = str(caught.value)
    assert "\n" not in text and "latitude=" not in text and len(text) < 400
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", bytes), ("gzip", bytes)],
    ids=["gzip", "deflate", "header alone", "decoded"],
)
def test_compressed_response_is_read(
    server: OpenMeteo, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    """Some proxies compress although `identity` is asked for, or keep the header and decode."""
    expected = fetch(server).drop_columns("fetched_at")
    headers = {"Content-Encoding": encoding}
    plain = httpx.get(request_url(WEATHER, FIRST, LAST, server.weather_url), trust_env=False)
    server.answer(200, body=compress(plain.content), headers=headers)
    assert fetch(server).drop_columns("fetched_at").equals(expected)
    server.answer(400, body=compress(reason("Wrong 'x'")), headers=headers)
    with pytest.raises(SourceRefusedError, match=r"HTTP 400 .*: Wrong 'x'"):
        fetch(server)


@pytest.mark.parametrize(
    ("encoding", "body", "error", "message"),
    [
        ("br", b"\x8b\x02\x80[{}]\x03", CorruptFileError, "Content-Encoding br, which was not"),
        (
            "gzip",
            gzip.compress(b"%r" % [*range(9999)])[:-99],
            TransientSourceError,
            "sent a response that ends",
        ),
    ],
)
def test_undecodable_response_is_one_line(
    server: OpenMeteo, encoding: str, body: bytes, error: type[Exception], message: str
) -> None:
    server.answer(200, body=body, headers={"Content-Encoding": encoding})
    with pytest.raises(error, match=message) as caught:
        fetch(server)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, reason(f"key {KEY} of me@home: {KEY} is wrong")),
        (503, reason(f"key {KEY} is unknown")),
        (200, reason(f"key {KEY} expired")),
        (200, f"key {KEY}".encode()),
        (200, f"Unexpected error while streaming data: {KEY}".encode()),
        (302, b""),
        (404, b""),
    ],
)
def test_own_endpoints_credentials_are_in_no_message(
    server: OpenMeteo, caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    """As in https://user:password@host/v1/archive?apikey=..., also of a redirect."""
    caplog.set_level("DEBUG")
    url = server.weather_url.replace("//", f"//me%40home:{KEY}@") + f"?apikey={KEY}"
    server.answer(status, body=body, headers={"Location": f"http://x.invalid/?apikey={KEY}"})
    with pytest.raises(SourceError) as caught:
        fetch_hours(WEATHER, FIRST, LAST, url, timeout=5)
    text = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert KEY not in text and "me@home" not in text and "me%40home" not in text


def test_short_values_of_an_endpoint_are_kept_in_messages(server: OpenMeteo) -> None:
    """Only the long ones can be secrets; one of them may be the start of another."""
    url = f"{server.weather_url}?v=1&user={KEY[:6]}&apikey={KEY}"
    server.answer(400, body=reason(f"key {KEY} is none of v1"))
    with pytest.raises(SourceError, match=r"key \.\.\. is none of v1") as caught:
        fetch_hours(WEATHER, FIRST, LAST, url, timeout=5)
    assert KEY[6:] not in str(caught.value)


def test_cut_connection_and_stall_are_transient(server: OpenMeteo) -> None:
    server.cut(after=1000)
    with pytest.raises(TransientSourceError, match="cut off"):
        fetch(server)
    server.stall(after=1000)
    with pytest.raises(TransientSourceError, match="timed out"):
        fetch_hours(WEATHER, FIRST, LAST, server.weather_url, timeout=0.3)


def test_unknown_host_is_named() -> None:
    with pytest.raises((SourceRefusedError, TransientSourceError), match=r"host 'meteo\.invalid'"):
        fetch_hours(WEATHER, FIRST, LAST, "http://meteo.invalid/v1/archive", timeout=2)


# --- months ---


def test_months_of_a_range_start_where_the_values_do() -> None:
    air = [str(month) for month in hourly_months(AIR_QUALITY, date(2022, 1, 5), date(2022, 9, 1))]
    assert air == ["air_quality 2022-08", "air_quality 2022-09"]
    weather = list(hourly_months(WEATHER, date(2023, 12, 31), date(2024, 1, 1)))
    assert [month.key for month in weather] == [
        "data/weather/weather_2023-12.parquet",
        "data/weather/weather_2024-01.parquet",
    ]
    assert weather[0].is_settled(datetime(2024, 1, 8))
    assert not weather[0].is_settled(datetime(2024, 1, 7, 23))


def test_month_is_written_with_the_digest_of_its_values(server: OpenMeteo, tmp_path: Path) -> None:
    """The digest depends on the values, not on the time at which they were fetched."""
    month = HourlyMonth(WEATHER, 2024, 5)
    versions = []
    for last in (date(2024, 6, 2), date(2024, 6, 2), date(2024, 5, 30)):
        path = write_month(month, fetch(server, WEATHER, date(2024, 4, 29), last), tmp_path)
        assert path == tmp_path / "weather" / "weather_2024-05.parquet"
        metadata = pq.read_metadata(path)
        assert metadata.num_rows == len(POINTS) * 24 * min(31, (last - date(2024, 4, 30)).days)
        versions.append(metadata.metadata[b"source_version"])
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize("table", HOURLY_TABLES, ids=lambda table: table.folder)
def test_every_column_has_a_comment_with_its_unit(table: HourlyTable) -> None:
    comments = table.comments
    assert "CC BY 4.0" in comments.table
    for column in table.columns:
        assert re.fullmatch(r"[A-Z].*\(.+\)\.", comments.columns[column.name])
        if table is AIR_QUALITY:
            assert "modelled, not measured" in comments.columns[column.name]
    assert ("modelled, not measured" in comments.table) == (table is AIR_QUALITY)
