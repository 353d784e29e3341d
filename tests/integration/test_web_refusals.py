"""Error statuses, and files that are not what their names say."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from nyc_taxi.errors import (
    CorruptFileError,
    NotPublishedError,
    NycTaxiError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.sources.integrity import verify
from nyc_taxi.sources.tlc import fetch_month
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from synthetic_tlc.site import BLOCKED_PAGE
from tests.support.downloads import (
    JANUARY,
    NAME,
    TEMPLATE,
    contents,
    fails_with,
    month_bytes,
    names,
    read_real,
    serve,
    statuses,
)

RECENT = date.today() - timedelta(days=40)
LAST_MONTH = TripMonth("yellow", RECENT.year, RECENT.month)
NOT_YET = f"{LAST_MONTH} is not published yet"
PROXY = b"<html>The proxy says:\nno.</html>"


@pytest.mark.parametrize(
    ("trips", "status", "body", "kind", "parts"),
    [
        (JANUARY, None, b"", NotPublishedError, "no yellow 2021-01|HTTP 403|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 403, b"", NotPublishedError, "no yellow 2021-01|HTTP 403|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 404, PROXY, NotPublishedError, "no yellow 2021-01|HTTP 404|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 410, b"", NotPublishedError, "no yellow 2021-01|HTTP 410|NYC_TAXI_SOURCE_URL"),
        (LAST_MONTH, None, b"", NotPublishedError, f"{NOT_YET}|HTTP 403"),
        (LAST_MONTH, 404, b"", NotPublishedError, f"{NOT_YET}|HTTP 404"),
        (JANUARY, 403, BLOCKED_PAGE, TransientSourceError, "throttles requests|HTTP 403"),
        (LAST_MONTH, 403, BLOCKED_PAGE, TransientSourceError, "throttles requests|HTTP 403"),
        (JANUARY, 403, PROXY, SourceRefusedError, "HTTP 403|proxy|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 403, PROXY * 100_000, SourceRefusedError, "HTTP 403|proxy|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 400, PROXY, SourceRefusedError, "HTTP 400|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 401, PROXY, SourceRefusedError, "HTTP 401|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 204, b"", SourceRefusedError, "HTTP 204|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 408, b"", TransientSourceError, "HTTP 408"),
        (
            JANUARY,
            429,
            PROXY,
            TransientSourceError,
            "throttles requests|HTTP 429|NYC_TAXI_MONTHS_AT_ONCE=1",
        ),
        (JANUARY, 500, PROXY, TransientSourceError, "temporarily unavailable|HTTP 500"),
        (JANUARY, 503, BLOCKED_PAGE, TransientSourceError, "temporarily unavailable|HTTP 503"),
    ],
)
def test_error_status_maps_to_an_error(
    site: Site,
    folder: Path,
    trips: TripMonth,
    status: int | None,
    body: bytes,
    kind: type[NycTaxiError],
    parts: str,
) -> None:
    if status:
        site.answer(status, body=body)
    with fails_with(kind, f"{site.url}/{trips.stem}.parquet", *parts.split("|")):
        fetch_month(trips, site.url, folder)
    assert names(folder) == []
    serve(site, month_bytes(), f"{trips.stem}.parquet")
    assert fetch_month(trips, site.url, folder).read_bytes() == month_bytes()


def test_real_blocked_page_is_transient(site: Site, folder: Path) -> None:
    site.answer(403, body=read_real("broken/yellow_tripdata_2022-01.http403.parquet"))
    with fails_with(TransientSourceError, f"{site.url}/{NAME}", "throttles requests"):
        fetch_month(JANUARY, site.url, folder)


def test_wrongly_declared_encoding_of_an_error_page_is_ignored(site: Site, folder: Path) -> None:
    site.answer(403, body=PROXY, headers={"Content-Encoding": "gzip"})
    with fails_with(SourceRefusedError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)


def test_refusal_keeps_existing_files(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    fetch_month(JANUARY, site.url, folder)
    serve(site, month_bytes(seed=1))
    site.cut(after=100_000)
    with fails_with(TransientSourceError):
        fetch_month(JANUARY, site.url, folder)
    before = contents(folder)
    for status in (403, 404, 429, 500):
        site.answer(status)
        with fails_with(TransientSourceError if status > 404 else NotPublishedError):
            fetch_month(JANUARY, site.url, folder)
        assert contents(folder) == before
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site)[-1] == 206


# --- corrupt files ---


def _flipped(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 0xFF
    return bytes(changed)


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "half": (".parquet", lambda good: good[: len(good) // 2]),
    "all but a byte": (".parquet", lambda good: good[:-1]),
    "first bytes": (".parquet", lambda good: good[:4]),
    "empty": (".parquet", lambda good: b""),
    "web page": (".parquet", lambda good: BLOCKED_PAGE),
    "a CSV": (".parquet", lambda good: b"VendorID,tpep_pickup_datetime\n"),
    "other last bytes": (".parquet", lambda good: good[:-4] + b"PARE"),
    "more at the end": (".parquet", lambda good: good + b"\r\n"),
    "no footer": (".parquet", lambda good: b"PAR1" + bytes(1000) + b"PAR1"),
    "only signs": (".parquet", lambda good: b"PAR1PAR1"),
    "garbage in the footer": (".parquet", lambda good: good[:-200] + b"\xff" * 192 + good[-8:]),
    "a footer too long": (".parquet", lambda good: good[:-8] + b"\xff\xff\xff\x7fPAR1"),
    "half a gzip": (".csv.gz", lambda good: good[: len(good) // 2]),
    "gzip without its end": (".csv.gz", lambda good: good[:-8]),
    "wrong checksum": (".csv.gz", lambda good: _flipped(good, -8)),
    "wrong length": (".csv.gz", lambda good: _flipped(good, -1)),
    "a wrong byte": (".csv.gz", lambda good: _flipped(good, len(good) // 2)),
    "gzip and a page": (".csv.gz", lambda good: good + BLOCKED_PAGE),
    "two, one broken": (".csv.gz", lambda good: good + good[:-8]),
    "empty gzip": (".csv.gz", lambda good: b""),
    "page for a gzip": (".csv.gz", lambda good: BLOCKED_PAGE),
    "page for a CSV": (".csv", lambda good: BLOCKED_PAGE),
    "empty CSV": (".csv", lambda good: b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_corrupt_file_is_rejected(site: Site, folder: Path, damage: str) -> None:
    ending, damage_file = DAMAGES[damage]
    good = gzip.decompress(month_bytes(".csv.gz")) if ending == ".csv" else month_bytes(ending)
    name, source = f"{JANUARY.stem}{ending}", f"{site.url}/{TEMPLATE}{ending}"
    serve(site, damage_file(good), name)
    with fails_with(CorruptFileError, name, "nothing was kept"):
        fetch_month(JANUARY, source, folder)
    assert names(folder) == []

    serve(site, good, name)
    path = fetch_month(JANUARY, source, folder)
    before = contents(folder)
    serve(site, damage_file(good), name)
    with fails_with(CorruptFileError, name, "nothing was kept"):
        fetch_month(JANUARY, source, folder)
    assert contents(folder) == before
    serve(site, good, name)
    assert fetch_month(JANUARY, source, folder) == path
    assert statuses(site) == [200, 200, 200, 304]


@pytest.mark.parametrize(
    ("broken", "trips", "parts"),
    [
        ("yellow_tripdata_2021-01.truncated.parquet", JANUARY, "truncated"),
        ("yellow_tripdata_2022-01.http403.parquet", TripMonth("yellow", 2022, 1), "web page"),
    ],
)
def test_real_corrupt_file_is_rejected(
    site: Site, folder: Path, broken: str, trips: TripMonth, parts: str
) -> None:
    serve(site, read_real(f"broken/{broken}"), f"{trips.stem}.parquet")
    with fails_with(CorruptFileError, f"{trips.stem}.parquet", parts):
        fetch_month(trips, site.url, folder)
    assert names(folder) == []


def test_truncated_source_is_rejected_after_a_resume(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.truncate(NAME, to=200_000)
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    with fails_with(CorruptFileError, NAME, "truncated"):
        fetch_month(JANUARY, site.url, folder)
    assert (names(folder), statuses(site)) == ([], [200, 206])
    site.heal()
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_gzip_with_several_members_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("nyc_taxi.sources.integrity.CHUNK", chunk)
    file = tmp_path / f"{JANUARY.stem}.csv.gz"
    member = gzip.compress(os.urandom(1000))
    file.write_bytes(member + gzip.compress(b"") + member)
    verify(file)
    file.write_bytes(member + gzip.compress(b"") + member[:-1])
    with fails_with(CorruptFileError, file.name):
        verify(file)


@pytest.mark.parametrize("name", ["a*", "a?", "[a]", "{color}", "it's", "%20", "ä ö"])
def test_local_folder_is_verified(site: Site, tmp_path: Path, name: str) -> None:
    serve(site, month_bytes())
    path = fetch_month(JANUARY, site.url, tmp_path / name)
    assert path.read_bytes() == month_bytes()
