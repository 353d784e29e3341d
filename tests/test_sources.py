"""Where a month lies, and what says that it cannot lie there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from downloads import (
    JANUARY,
    NAME,
    TEMPLATE,
    failing,
    names,
)

from nyc_taxi.errors import (
    BadInput,
    Interrupted,
    NotPublished,
    Refused,
)
from nyc_taxi.settings import ROOT
from nyc_taxi.sources import locate
from nyc_taxi.web import fetch_month


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
    ],
)
def test_url_of_a_month(source: str, url: str) -> None:
    assert locate(JANUARY, source) == url


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
def test_path_of_a_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)  # relative paths start at the root of the project nevertheless
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


def test_parquet_before_csv(tmp_path: Path) -> None:
    for ending in (".csv", ".csv.gz", ".parquet"):
        (tmp_path / f"{JANUARY.stem}{ending}").touch()
    assert locate(JANUARY, str(tmp_path)) == tmp_path / NAME


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("ftp://h.org/trip-data", "give an http(s) URL or a folder"),
        ("htps://h.org/trip-data", "give an http(s) URL or a folder"),
        ("s3://bucket/trip-data", "give an http(s) URL or a folder"),
        ("http:///trip-data", "give an http(s) URL or a folder"),
        ("http://[::1/trip-data", "give an http(s) URL or a folder"),
        ("http://h..org/trip-data", "give an http(s) URL or a folder"),
        ("https://h.org/{color}/{day}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{color", "{color}, {year} and {month:02}"),
        ("https://h.org/{color.name}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{month[0]}.parquet", "{color}, {year} and {month:02}"),
        ("https://h.org/{month:02s}.parquet", "{color}, {year} and {month:02}"),
        (f"https://h.org/{TEMPLATE}.zip", ".parquet, .csv.gz, .csv"),
        ("https://h.org/{color}", ".parquet, .csv.gz, .csv"),
    ],
)
def test_source_that_cannot_be(folder: Path, source: str, words: str) -> None:
    with failing(BadInput, f"NYC_TAXI_SOURCE_URL={source!r}", words):
        fetch_month(JANUARY, source, folder)
    assert not folder.exists()


@pytest.mark.parametrize("source", ["{}", "file://{}", f"{{}}/{TEMPLATE}.csv.gz"])
def test_no_such_file(tmp_path: Path, source: str) -> None:
    source = source.replace("{}", str(tmp_path))
    with failing(NotPublished, "yellow 2021-01", str(tmp_path / JANUARY.stem)):
        locate(JANUARY, source)


def test_no_such_host(folder: Path) -> None:
    with failing(Refused, "'no-such-host.invalid'", "NYC_TAXI_SOURCE_URL"):
        fetch_month(JANUARY, "http://no-such-host.invalid/trip-data", folder)
    assert names(folder) == []


def test_no_server(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = "http://{}:{}".format(*server.getsockname())
    with failing(Interrupted, f"{url}/{NAME}", "NYC_TAXI_SOURCE_URL"):
        fetch_month(JANUARY, url, folder)
    assert names(folder) == []
