"""Downloads: Content-Encoding, versions, and removal of corrupt files."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from etl_web_to_local import etl_web_to_local
from load_new_months import load_new_months
from nyc_taxi import doctor
from nyc_taxi.doctor import check_source
from nyc_taxi.errors import (
    CorruptFileError,
    InvalidInputError,
    InvalidValueError,
    LocalWriteError,
    NycTaxiError,
    SchemaMismatchError,
    SourceError,
    TransientSourceError,
)
from nyc_taxi.sources.file_versions import discard_if_corrupt, downloaded_version
from nyc_taxi.sources.published import months_back
from nyc_taxi.sources.reference_files import fetch_reference_file
from nyc_taxi.sources.tlc import fetch_month, published_version
from nyc_taxi.trips.schemas import Color
from synthetic_tlc import Site
from tests.support.downloads import (
    JANUARY,
    NAME,
    TEMPLATE,
    conditions,
    fails_with,
    month_bytes,
    names,
    serve,
    statuses,
)

# --- unrequested Content-Encoding ---


@pytest.mark.parametrize(
    ("ending", "wire", "encoding"),
    [
        (".parquet", gzip.compress, "gzip"),
        (".parquet", gzip.compress, "x-gzip"),
        (".parquet", gzip.compress, "GZIP"),
        (".parquet", lambda file: gzip.compress(file[:9]) + gzip.compress(file[9:]), "gzip"),
        (".parquet", lambda file: file, "gzip"),  # declared but not applied
        (".parquet", lambda file: file, "aws-chunked"),
        (".parquet", lambda file: file, "identity"),
        (".csv", gzip.compress, "gzip"),
        (".csv.gz", lambda file: file, "gzip"),  # the file is gzip itself
        (".csv.gz", gzip.compress, "gzip"),
        (".csv.gz", lambda file: file, "x-gzip"),
    ],
)
def test_content_encoding_is_decoded(
    site: Site, folder: Path, ending: str, wire: Callable[[bytes], bytes], encoding: str
) -> None:
    name = f"{JANUARY.stem}{ending}"
    good = gzip.decompress(month_bytes(".csv.gz")) if ending == ".csv" else month_bytes(ending)
    headers = {"Content-Encoding": encoding, "ETag": '"1"'}
    site.answer(200, body=wire(good), headers=headers)
    source = f"{site.url}/{TEMPLATE}{ending}"
    assert fetch_month(JANUARY, source, folder).read_bytes() == good
    assert names(folder) == [f"yellow/{name}", f"yellow/{name}.json"]
    site.answer(304)
    assert fetch_month(JANUARY, source, folder).read_bytes() == good
    assert conditions(site.requests[-1]) == {"If-None-Match": '"1"'}


def test_encoded_download_is_resumed(site: Site, folder: Path) -> None:
    encoded = gzip.compress(month_bytes(), 1)
    size = len(encoded)
    headers = {"Content-Encoding": "gzip", "ETag": '"1"', "Content-Length": str(size)}
    site.answer(200, body=encoded[:50_000], headers=headers)
    with pytest.raises(TransientSourceError):
        fetch_month(JANUARY, site.url, folder, timeout=0.5)
    rest = {"Content-Encoding": "gzip", "ETag": '"1"'}
    rest["Content-Range"] = f"bytes 50000-{size - 1}/{size}"
    site.answer(206, body=encoded[50_000:], headers=rest)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()


def test_changed_encoding_restarts_the_download(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.cut(after=100_000)
    with fails_with(TransientSourceError):
        fetch_month(JANUARY, site.url, folder)
    size = len(month_bytes())
    headers = {"Content-Encoding": "gzip", "Content-Range": f"bytes 100000-{size - 1}/{size}"}
    site.answer(206, body=gzip.compress(month_bytes()[100_000:]), headers=headers)
    with fails_with(TransientSourceError, "starts from zero"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()


def test_range_sent_with_status_200_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.cut(after=100_000)
    with fails_with(TransientSourceError):
        fetch_month(JANUARY, site.url, folder)
    size = len(month_bytes())
    headers = {"Content-Range": f"bytes 100000-{size - 1}/{size}"}
    site.answer(200, body=month_bytes()[100_000:], headers=headers)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()


@pytest.mark.parametrize(
    ("wire", "encoding"),
    [
        (zlib.compress, "deflate"),
        (lambda file: b"\x0b" + file, "br"),
        (lambda file: gzip.compress(file)[:-9], "gzip"),
        (lambda file: gzip.compress(file)[:-8] + bytes(8), "gzip"),
    ],
)
def test_invalid_encoding_is_rejected(
    site: Site, folder: Path, wire: Callable[[bytes], bytes], encoding: str
) -> None:
    site.answer(200, body=wire(month_bytes()), headers={"Content-Encoding": encoding})
    with fails_with(CorruptFileError, NAME, encoding):
        fetch_month(JANUARY, site.url, folder)
    assert names(folder) == []


def test_encoded_reference_file_is_decoded(site: Site, folder: Path) -> None:
    site.answer(200, body=gzip.compress(b"zones"), headers={"Content-Encoding": "gzip"})
    path = fetch_reference_file("zones.csv", f"{site.url}/trip-data", folder)
    assert path.read_bytes() == b"zones"
    assert names(folder) == ["misc/zones.csv"]


# --- corrupt files ---


def corrupt(content: bytes) -> bytes:
    """Overwrite the middle of a file, and keep both ends."""
    middle = len(content) // 2
    return content[:middle] + bytes(5000) + content[middle + 5000 :]


@pytest.fixture
def source(site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", site.url)
    return site.url


def test_corrupt_download_is_fetched_again(
    prefect_server: None, site: Site, source: str, tmp_path: Path
) -> None:
    """It was kept with its ETag, so that the site always answered that it is unchanged."""
    serve(site, corrupt(month_bytes()))
    with fails_with(CorruptFileError, NAME):
        etl_web_to_local("yellow", 2021, 1)
    raw = tmp_path / "data" / "raw"
    assert names(raw) == []
    serve(site, month_bytes())
    path = etl_web_to_local("yellow", 2021, 1)
    assert names(raw) == [f"yellow/{NAME}", f"yellow/{NAME}.json"]

    # Also if the disk corrupts it later.
    download = raw / "yellow" / NAME
    download.write_bytes(corrupt(month_bytes()))
    with fails_with(CorruptFileError, NAME):
        etl_web_to_local("yellow", 2021, 1)
    assert not download.exists()
    assert etl_web_to_local("yellow", 2021, 1) == path
    assert statuses(site) == [200, 200, 304, 200]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("old", "new", "problem", "message"),
    [
        (b"\n1,2021-01", b"\nX,2021-01", InvalidValueError, "VendorID holds X"),
        (b"\n2,2021-01", b"\n2,2021X01", InvalidValueError, "holds 2021X01"),
        (b"trip_distance", b"trip_dXstance", SchemaMismatchError, "no column trip_distance"),
        (b"\n2,", b'\n",', CorruptFileError, "a quote that is not closed"),
    ],
)
def test_csv_with_a_corrupt_byte_is_fetched_again(
    prefect_server: None,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    old: bytes,
    new: bytes,
    problem: type[NycTaxiError],
    message: str,
) -> None:
    """A plain CSV has no checksum, so damage appears as an invalid value or name."""
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"{site.url}/{TEMPLATE}.csv")
    good, name = gzip.decompress(month_bytes(".csv.gz", rows=300)), f"{JANUARY.stem}.csv"
    corrupted = good.replace(old, new, 1)
    assert corrupted != good
    serve(site, corrupted, name)
    with fails_with(problem, message):
        etl_web_to_local("yellow", 2021, 1)
    assert names(tmp_path / "data" / "raw") == []
    serve(site, good, name)
    etl_web_to_local("yellow", 2021, 1)
    assert statuses(site) == [200, 200]


def test_corrupt_local_file_is_kept(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "months"
    here.mkdir()
    (here / NAME).write_bytes(corrupt(month_bytes()))
    (here / f"{NAME}.json").write_text("{}")  # as in a copy of a downloads folder
    for source_url in (str(here), here.as_uri()):
        monkeypatch.setenv("NYC_TAXI_SOURCE_URL", source_url)
        with fails_with(CorruptFileError, NAME):
            etl_web_to_local("yellow", 2021, 1)
        assert names(here) == [NAME, f"{NAME}.json"]


def test_only_a_rejected_download_is_discarded(tmp_path: Path) -> None:
    raw = tmp_path / NAME
    raw.write_bytes(month_bytes())
    with pytest.raises(LocalWriteError), discard_if_corrupt(raw, "https://h.org"):
        raise LocalWriteError("the disk is full")
    assert raw.exists()
    with pytest.raises(CorruptFileError), discard_if_corrupt(raw, "https://h.org"):
        new = tmp_path / "new"
        new.write_bytes(month_bytes(seed=1))
        new.replace(raw)  # by another run
        raise CorruptFileError("the old file")
    assert raw.read_bytes() == month_bytes(seed=1)
    with pytest.raises(CorruptFileError), discard_if_corrupt(raw, "https://h.org"):
        raise CorruptFileError("this file")
    assert not raw.exists()


# --- versions ---


def test_downloaded_version_is_the_published_version(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    raw = fetch_month(JANUARY, site.url, folder)
    assert downloaded_version(raw, site.url) == published_version(JANUARY, site.url)
    serve(site, month_bytes(seed=1))
    assert downloaded_version(raw, site.url) != published_version(JANUARY, site.url)
    raw.with_name(f"{NAME}.json").unlink()
    assert downloaded_version(raw, site.url) is None


def test_version_of_a_local_file_changes_with_the_file(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(month_bytes())
    version = published_version(JANUARY, str(tmp_path))
    assert downloaded_version(tmp_path / NAME, str(tmp_path)) == version
    os.utime(tmp_path / NAME, (1, 1))
    assert downloaded_version(tmp_path / NAME, str(tmp_path)) != version


@pytest.mark.slow
def test_stale_file_from_a_cache_is_reloaded(
    prefect_server: None, site: Site, source: str, month_file: Callable[..., Path]
) -> None:
    """The requested version was stored instead of the received one, so nothing was loaded."""
    trips = next(t for n, t in enumerate(months_back("green", *this_month())) if n == 2)
    name = f"{trips.stem}.parquet"
    old, new = month_file(trips, 2000), month_file(trips, 3000)
    # A cache that serves the new file for the first requests, then the old one.
    serve(site, new.read_bytes(), name)
    site.change(name, old, after_requests=2)
    assert load_new_months("green", back=1) == 2000
    site.heal()
    assert load_new_months("green", back=1) == 3000
    assert load_new_months("green", back=1) == 0


def this_month() -> tuple[int, int]:
    return date.today().year, date.today().month


def test_metadata_of_older_versions_is_read(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    raw = fetch_month(JANUARY, site.url, folder)
    note = raw.with_name(f"{NAME}.json")
    known = json.loads(note.read_text())
    assert known["url"] == f"{site.url}/{NAME}"
    del known["encoding"]
    note.write_text(json.dumps(known))
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site) == [200, 304]


# --- the doctor ---


def add(site: Site, *stems: str) -> None:
    for stem in stems:
        serve(site, month_bytes(), f"{stem}.parquet")


@pytest.mark.parametrize("color", ["yellow", "green", "fhv", "fhvhv"])
def test_doctor_accepts_a_source_with_one_color(site: Site, color: Color) -> None:
    newest = next(t for n, t in enumerate(months_back(color, *this_month())) if n == 3)
    add(site, newest.stem, f"{color}_tripdata_2021-01")
    text = check_source(site.url, 5)
    assert text.startswith(f"newest months: {newest}; not found: ")
    assert len(site.requests) < 80


def test_doctor_accepts_a_source_with_the_course_months(site: Site) -> None:
    add(site, "yellow_tripdata_2021-01", "green_tripdata_2021-01")
    assert check_source(site.url, 5) == (
        "newest months: yellow 2021-01, green 2021-01; not found: fhv, fhvhv"
    )


def test_doctor_checks_every_month_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "green_tripdata_2019-06.csv.gz").touch()
    found = "newest months: green 2019-06; not found: yellow, fhv, fhvhv"
    assert check_source(str(tmp_path), 5) == found
    with pytest.raises(SourceError, match="no months found for any color"):
        check_source(str(tmp_path / "other"), 5)


def test_doctor_prints_no_credentials(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = site.url.removeprefix("http://")
    with temporary_settings(restore_defaults={PREFECT_API_URL}):  # no server: other tests use it
        monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"http://us3r:s3cr3t@{host}/trip?sig=t0ken")
        assert doctor.main() == 1
        add(site, "yellow_tripdata_2021-01")
        monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"http://us3r:s3cr3t@{host}?sig=t0ken")
        assert doctor.main() == 0
    text = capsys.readouterr().out
    assert f"ok      {site.url}: newest months: yellow 2021-01" in text
    assert not [secret for secret in ("us3r", "s3cr3t", "t0ken") if secret in text]


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("127.0.0.1:8765/trip-data", "http://127.0.0.1:8765/trip-data"),
        ("example.com/trip-data", "http://example.com/trip-data"),
        ("localhost:8000", "http://localhost:8000"),
        ("localhost/trip-data", "http://localhost/trip-data"),
        ("mirror:8000/x", "http://mirror:8000/x"),
        ("[::1]:8000/x", "http://[::1]:8000/x"),
        ("us3r:s3cr3t@example.com/trip?sig=t0ken", "http://example.com/trip"),
        ("example.com/{color}_{year}-{month:02}.csv?sig=t0ken", "http://example.com/{color}_"),
    ],
)
def test_missing_scheme_is_suggested(source: str, url: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(f"write {url}")) as raised:
        check_source(source, 5)
    assert not [word for word in ("us3r", "s3cr3t", "t0ken") if word in str(raised.value)]


def test_folder_that_looks_like_a_host_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_ROOT", str(tmp_path))
    (tmp_path / "data.v2").mkdir()
    with pytest.raises(SourceError, match="no months found for any color"):
        check_source("data.v2", 5)
    (tmp_path / "data.v2" / "green_tripdata_2019-06.csv.gz").touch()
    assert check_source("data.v2", 5).startswith("newest months: green 2019-06")
