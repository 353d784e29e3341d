"""Location of months and reference files for every kind of source."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from nyc_taxi.errors import (
    InvalidInputError,
    NotPublishedError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.settings import ROOT
from nyc_taxi.sources.locations import locate, locate_reference_file
from nyc_taxi.sources.reference_files import fetch_reference_file
from nyc_taxi.sources.tlc import fetch_month
from nyc_taxi.urls import safe_url
from tests.support.downloads import (
    JANUARY,
    NAME,
    TEMPLATE,
    fails_with,
    names,
)

CSV = f"{JANUARY.stem}.csv.gz"


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("https://h.org/trip-data", f"https://h.org/trip-data/{NAME}"),
        ("https://h.org/trip-data/", f"https://h.org/trip-data/{NAME}"),
        ("http://h.org:8009", f"http://h.org:8009/{NAME}"),
        ("HTTPS://h.org/a", f"HTTPS://h.org/a/{NAME}"),
        (f"https://h.org/{TEMPLATE}.csv.gz", f"https://h.org/{JANUARY.stem}.csv.gz"),
        (f"https://h.org/{{color}}/{TEMPLATE}.csv", f"https://h.org/yellow/{JANUARY.stem}.csv"),
        ("https://h.org/{year}/{month}/{color}.parquet", "https://h.org/2021/1/yellow.parquet"),
        ("https://h.org/{year}{month:02}.parquet", "https://h.org/202101.parquet"),
        ("https://h.org/a?sig=b%2Fc", f"https://h.org/a/{NAME}?sig=b%2Fc"),
        ("https://h.org/a/?download=1&x=", f"https://h.org/a/{NAME}?download=1&x="),
        ("https://h.org?sig=b", f"https://h.org/{NAME}?sig=b"),
        ("https://h.org/a?sig=b#c?d", f"https://h.org/a/{NAME}?sig=b"),
        ("https://h.org/a#c", f"https://h.org/a/{NAME}"),
        (" https://h.org/a?sig=b\n", f"https://h.org/a/{NAME}?sig=b"),
        ("https://h.org/a%20b/%C3%A4?x=1", f"https://h.org/a%20b/%C3%A4/{NAME}?x=1"),
        ("https://u:p@h.org:8443/a?b=/c", f"https://u:p@h.org:8443/a/{NAME}?b=/c"),
        ("http://[::1]:8009/a?b", f"http://[::1]:8009/a/{NAME}?b"),
        ("https://münchen.example/ä?x=1", f"https://münchen.example/ä/{NAME}?x=1"),
        (f"https://h.org/{TEMPLATE}.parquet?sig=b", f"https://h.org/{NAME}?sig=b"),
        (f"https://h.org/{TEMPLATE}.csv.gz?v={{year}}#x", "https://h.org/" + CSV + "?v=2021#x"),
        (f"https://h.org/get?file={TEMPLATE}.csv.gz&x=1", f"https://h.org/get?file={CSV}&x=1"),
        (
            f"https://h.org/get?x=1&file=a%2F{TEMPLATE}.csv.gz",
            f"https://h.org/get?x=1&file=a%2F{CSV}",
        ),
        ("https://h.org/{year}-{month:02}.PARQUET", "https://h.org/2021-01.PARQUET"),
    ],
)
def test_locate_returns_the_url_of_a_month(source: str, url: str) -> None:
    assert locate(JANUARY, source) == url


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("https://h.org/trip-data", "https://h.org/misc/z.csv"),
        ("https://h.org/trip-data/", "https://h.org/misc/z.csv"),
        ("https://h.org/a/trip-data?sig=b#c", "https://h.org/a/misc/z.csv?sig=b"),
        ("http://h.org:8009", "http://h.org:8009/misc/z.csv"),
        ("http://u:p@[::1]:8009/?x=a/b.csv", "http://u:p@[::1]:8009/misc/z.csv?x=a/b.csv"),
        (f"https://h.org/trip-data/{TEMPLATE}.parquet?sig=b", "https://h.org/misc/z.csv?sig=b"),
        (f"https://h.org/{{color}}/{TEMPLATE}.csv.gz", "https://h.org/misc/z.csv"),
        (f"https://h.org/{TEMPLATE}.csv.gz", "https://h.org/misc/z.csv"),
        (f"https://h.org/x?f=trip-data/{TEMPLATE}.csv&s=1", "https://h.org/x?f=misc/z.csv&s=1"),
        (f"https://h.org/x?f=a%2Fb%2F{TEMPLATE}.csv", "https://h.org/x?f=a/misc/z.csv"),
    ],
)
def test_locate_reference_file_returns_a_url(source: str, url: str) -> None:
    assert locate_reference_file("z.csv", source) == url


@pytest.mark.parametrize(
    "source",
    ["{here}", "{here}/", "file://{here}", "file:{here}", "{uri}", f"{{here}}/{TEMPLATE}.csv"],
)
def test_locate_reference_file_returns_a_path(tmp_path: Path, source: str) -> None:
    here = tmp_path / "100% a b" / "trip-data"
    template = source.replace("{here}", str(here).replace("%", "%25"))
    if "file:" not in source:
        template = source.replace("{here}", str(here))
    assert locate_reference_file("z.csv", template.replace("{uri}", here.as_uri())) == (
        tmp_path / "100% a b" / "misc" / "z.csv"
    )


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz", ".csv"])
@pytest.mark.parametrize(
    "source",
    [
        "{here}",
        "{here}/",
        "{uri}",
        "{uri}/",
        "{relative}",
        "{parent}/{{color}}",
        "{here}/{template}{ending}",
        "{uri}/{template}{ending}",
        "{here}/yellow_tripdata_2021-01{ending}",
    ],
)
def test_locate_returns_the_path_of_a_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)  # relative paths start at the root of the project
    here = tmp_path / "a folder" / "yellow"
    here.mkdir(parents=True)
    file = here / f"{JANUARY.stem}{ending}"
    file.touch()
    source = source.format(
        here=here,
        uri=here.as_uri(),
        relative=os.path.relpath(here, ROOT),
        parent=here.parent,
        template=TEMPLATE,
        ending=ending,
    )
    found = locate(JANUARY, source)
    assert isinstance(found, Path)
    assert found.resolve() == file


def test_locate_prefers_parquet_to_csv(tmp_path: Path) -> None:
    for ending in (".csv", ".csv.gz", ".parquet"):
        (tmp_path / f"{JANUARY.stem}{ending}").touch()
    assert locate(JANUARY, str(tmp_path)) == tmp_path / NAME


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("ftp://h.org/trip-data", "use an http(s) URL or a folder"),
        ("htps://h.org/trip-data", "use an http(s) URL or a folder"),
        ("s3://bucket/trip-data", "use an http(s) URL or a folder"),
        ("http:///trip-data", "use an http(s) URL or a folder"),
        ("http://[::1/trip-data", "use an http(s) URL or a folder"),
        ("http://h..org/trip-data", "use an http(s) URL or a folder"),
        ("https://h.org/{color}/{day}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{color", "{color}, {year} and {month:02}"),
        ("https://h.org/{color.name}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{month[0]}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{month:02s}.parquet", "{color}, {year} and {month:02}"),
        ("http://h.org:port/trip-data", "use an http(s) URL or a folder"),
        ("http://h.org:99999/trip-data", "use an http(s) URL or a folder"),
        ("file://trip-data", "write file:///"),
        (f"https://h.org/{TEMPLATE}.zip", ".parquet, .csv.gz, .csv"),
        ("https://h.org/{color}", ".parquet, .csv.gz, .csv"),
    ],
)
def test_invalid_source_is_rejected_without_credentials(
    folder: Path, source: str, parts: str
) -> None:
    with fails_with(InvalidInputError, f"NYC_TAXI_SOURCE_URL={safe_url(source)!r}", parts):
        fetch_month(JANUARY, source, folder)
    if ".zip" not in source and source != "https://h.org/{color}":
        with fails_with(InvalidInputError, f"NYC_TAXI_SOURCE_URL={safe_url(source)!r}", parts):
            fetch_reference_file("z.csv", source, folder)
    secret = source.replace("://", "://us3r:s3cr3t@") + "?sig=t0ken"
    with pytest.raises(InvalidInputError) as raised:
        fetch_month(JANUARY, secret, folder)
    assert not [word for word in ("us3r", "s3cr3t", "t0ken") if word in str(raised.value)]
    assert not folder.exists()


@pytest.mark.parametrize("source", ["{}", "file://{}", f"{{}}/{TEMPLATE}.csv.gz"])
def test_missing_file_is_not_published(tmp_path: Path, source: str) -> None:
    source = source.replace("{}", str(tmp_path))
    with fails_with(NotPublishedError, "yellow 2021-01", str(tmp_path / JANUARY.stem)):
        locate(JANUARY, source)


def test_unknown_host_is_refused(folder: Path) -> None:
    with fails_with(SourceRefusedError, "'no-such-host.invalid'", "NYC_TAXI_SOURCE_URL"):
        fetch_month(JANUARY, "http://no-such-host.invalid/trip-data", folder)
    assert names(folder) == []


def test_unreachable_server_is_transient(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = "http://{}:{}".format(*server.getsockname())
    with fails_with(TransientSourceError, f"{url}/{NAME}", "NYC_TAXI_SOURCE_URL"):
        fetch_month(JANUARY, url, folder)
    assert names(folder) == []


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        (" http://user:secret@h/x", " http://h/x"),
        ("'http://user:secret@h/x?sig=secret'", "'http://h/x"),
        ('"http://user:sec/ret@h/x"', '"http://...'),
        ("//user:secret@h/x", "..."),
        ("https//user:secret@h/x", "..."),
        ("/data/a@b", "/data/a@b"),
        (" a folder ", " a folder "),
    ],
)
def test_safe_url_removes_credentials_from_mistyped_urls(url: str, safe: str) -> None:
    assert safe_url(url) == safe


@pytest.mark.parametrize("source", ["//user:secret@h/x", "https//user:secret@h/x"])
def test_url_without_scheme_is_not_treated_as_a_folder(source: str) -> None:
    """The error for the missing folder showed the password."""
    with pytest.raises(InvalidInputError, match=r"NYC_TAXI_SOURCE_URL='\.\.\.' cannot be fetched"):
        locate(JANUARY, source)
    with pytest.raises(InvalidInputError, match=r"NYC_TAXI_SOURCE_URL='\.\.\.' cannot be fetched"):
        locate_reference_file("taxi_zone_lookup.csv", source)
