"""A month comes over the wire whole or not at all, and only what is missing is asked for again."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mirror import Site, write_month
from mirror.site import BLOCKED_PAGE, Request
from nyc_taxi import web
from nyc_taxi.errors import (
    BadInput,
    Busy,
    CannotWrite,
    Damaged,
    Interrupted,
    NotPublished,
    NycTaxiError,
    Refused,
)
from nyc_taxi.files import only_writer
from nyc_taxi.months import TripMonth
from nyc_taxi.settings import ROOT
from nyc_taxi.web import fetch_month, locate, verify

REAL = Path(__file__).parents[2] / "shared" / "tlc"
JANUARY = TripMonth("yellow", 2021, 1)
NAME = f"{JANUARY.stem}.parquet"
TEMPLATE = "{color}_tripdata_{year}-{month:02}"


def real(name: str) -> bytes:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"the broken file {name} is not here")
    return path.read_bytes()


@cache
def month(ending: str = ".parquet", seed: int = 0, rows: int = 20_000) -> bytes:
    """A month's file of some 500 kB."""
    with TemporaryDirectory() as folder:
        made = write_month(Path(folder), "yellow", 2021, 1, rows, seed, ending.removeprefix("."))
        return made.read_bytes()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    # No certificates to read before every fetch: that took most of the tests' time.
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "site"))
    with Site(tmp_path / "site") as site:
        yield site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def serve(site: Site, content: bytes, name: str = NAME) -> None:
    (site.folder / name).write_bytes(content)


def kept(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, but for the locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def names(folder: Path) -> list[str]:
    return sorted(kept(folder))


WHOLE = [f"yellow/{NAME}", f"yellow/{NAME}.json"]
BROKEN_OFF = [f"yellow/{NAME}.part", f"yellow/{NAME}.part.json"]


def asked(request: Request) -> dict[str, str | None]:
    conditions = ("If-None-Match", "If-Modified-Since", "Range", "If-Range")
    return {name: request.headers[name] for name in conditions if name in request.headers}


def statuses(site: Site) -> list[int]:
    return [request.status for request in site.requests]


@contextmanager
def failing(kind: type[NycTaxiError], *words: str) -> Iterator[None]:
    """The block raises this very class, with one line that holds the words."""
    with pytest.raises(NycTaxiError) as raised:
        yield
    line = str(raised.value)
    assert type(raised.value) is kind, line
    assert raised.value.can_pass is (kind in (Interrupted, Busy))
    assert "\n" not in line
    assert [word for word in words if word not in line] == [], line


# --- where a month lies ---


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


# --- a file that comes whole ---


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz"])
def test_every_byte(site: Site, folder: Path, ending: str) -> None:
    name = f"{JANUARY.stem}{ending}"
    serve(site, month(ending), name)
    path = fetch_month(JANUARY, f"{site.url}/{TEMPLATE}{ending}", folder)
    assert path == folder / "yellow" / name
    assert path.read_bytes() == month(ending)
    assert names(folder) == [f"yellow/{name}", f"yellow/{name}.json"]
    assert [asked(request) for request in site.requests] == [{}]


def test_what_is_here_is_not_sent_again(site: Site, folder: Path) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, folder)
    before = kept(folder)
    assert fetch_month(JANUARY, site.url, folder) == path
    again = site.requests[-1]
    assert (again.status, again.bytes_sent) == (304, 0)
    assert list(asked(again)) == ["If-None-Match"]
    assert kept(folder) == before


def test_what_changed_is_sent_again(site: Site, folder: Path) -> None:
    serve(site, month())
    fetch_month(JANUARY, site.url, folder)
    serve(site, month(seed=1))
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=1)
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site) == [200, 200, 304]
    assert names(folder) == WHOLE


@pytest.mark.parametrize("harm", ["cut", "gone", "unknown", "from elsewhere"])
def test_what_cannot_be_trusted_is_sent_again(site: Site, folder: Path, harm: str) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, folder)
    note, source = path.with_name(f"{NAME}.json"), site.url
    if harm == "cut":
        os.truncate(path, 1000)
    elif harm == "gone":
        path.unlink()
    elif harm == "unknown":
        note.write_text(note.read_text()[:-10])
    else:
        source += "/elsewhere"
        (site.folder / "elsewhere").mkdir()
        serve(site, month(), f"elsewhere/{NAME}")
    assert fetch_month(JANUARY, source, folder).read_bytes() == month()
    assert (asked(site.requests[-1]), statuses(site)) == ({}, [200, 200])


def test_simple_server(site: Site, folder: Path) -> None:
    serve(site, month())
    site.no_etag()
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    for seed in (0, 1):
        serve(site, month(seed=seed))
        assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=seed)
    assert statuses(site) == [200, 200, 200]
    assert "Range" not in {name for request in site.requests for name in asked(request)}
    assert names(folder) == WHOLE


def test_months_of_one_template_lie_apart(site: Site, folder: Path) -> None:
    february = TripMonth("yellow", 2021, 2)
    for trips in (JANUARY, february):
        (site.folder / f"{trips.month:02}").mkdir()
        serve(site, month(seed=trips.month), f"{trips.month:02}/yellow.parquet")
    source = f"{site.url}/{{month:02}}/{{color}}.parquet"
    paths = [fetch_month(trips, source, folder) for trips in (JANUARY, february)]
    assert [path.read_bytes() for path in paths] == [month(seed=1), month(seed=2)]


def test_redirects(site: Site, folder: Path) -> None:
    serve(site, month())
    site.answer(302, path="/old/" + NAME, headers={"Location": f"{site.url}/{NAME}"}, times=None)
    assert fetch_month(JANUARY, f"{site.url}/old", folder).read_bytes() == month()
    site.answer(302, path="/round/" + NAME, headers={"Location": NAME}, times=None)
    with failing(Refused, f"{site.url}/round/{NAME}"):
        fetch_month(JANUARY, f"{site.url}/round", folder)


def test_local_file_stays_where_it_lies(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / NAME
    file.write_bytes(month())
    assert fetch_month(JANUARY, str(tmp_path), folder) == file
    file.write_bytes(month()[:-100])
    with failing(Damaged, NAME):
        fetch_month(JANUARY, str(tmp_path), folder)
    assert file.read_bytes() == month()[:-100]
    assert not folder.exists()


# --- a download that breaks off ---


def test_goes_on_where_it_broke_off(site: Site, folder: Path) -> None:
    serve(site, month())
    site.cut(after=100_000, times=3)
    for tries in (1, 2, 3):
        with failing(Interrupted, f"{site.url}/{NAME}"):
            fetch_month(JANUARY, site.url, folder)
        assert names(folder) == BROKEN_OFF
        assert kept(folder)[BROKEN_OFF[0]] == month()[: tries * 100_000]
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert statuses(site) == [200, 206, 206, 206]
    assert [asked(request).get("Range") for request in site.requests[1:]] == [
        f"bytes={tries * 100_000}-" for tries in (1, 2, 3)
    ]
    assert all("If-Range" in asked(request) for request in site.requests[1:])
    assert sum(request.bytes_sent for request in site.requests) == len(month())
    assert names(folder) == WHOLE
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site)[-1] == 304


def test_break_before_the_first_byte(site: Site, folder: Path) -> None:
    serve(site, month())
    site.cut(after=0)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert "Range" not in asked(site.requests[-1])


def test_changed_since_it_broke_off(site: Site, folder: Path) -> None:
    serve(site, month())
    site.change(NAME, month(seed=1))
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=1)
    assert (statuses(site), list(asked(site.requests[-1]))) == ([200, 200], ["Range", "If-Range"])
    assert names(folder) == WHOLE


def test_old_file_and_half_a_new_one(site: Site, folder: Path) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, folder)
    serve(site, month(seed=1))
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert path.read_bytes() == month()
    assert names(folder) == sorted(WHOLE + BROKEN_OFF)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=1)
    last = asked(site.requests[-1])
    assert list(last) == ["If-None-Match", "Range", "If-Range"]
    assert last["If-None-Match"] != last["If-Range"]
    assert statuses(site) == [200, 200, 206]
    assert names(folder) == WHOLE


def test_half_a_new_file_is_dropped_when_the_old_one_is_back(site: Site, folder: Path) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, folder)
    serve(site, month(seed=1))
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    serve(site, month())
    assert fetch_month(JANUARY, site.url, folder) == path
    assert path.read_bytes() == month()
    assert statuses(site) == [200, 200, 304]
    assert names(folder) == WHOLE


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-99/1000"},
        {"Content-Range": f"bytes 100001-100100/{len(month())}"},
        {"Content-Range": f"bytes 100000-100099/{len(month())}", "ETag": '"of another file"'},
        {},
    ],
    ids=["from the start", "elsewhere", "of another file", "of somewhere"],
)
def test_another_part_than_asked_for(site: Site, folder: Path, headers: dict[str, str]) -> None:
    serve(site, month())
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    site.answer(206, headers=headers, body=bytes(100))
    with failing(Interrupted, f"{site.url}/{NAME}", "starts anew"):
        fetch_month(JANUARY, site.url, folder)
    assert names(folder) == []
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert (statuses(site), asked(site.requests[-1])) == ([200, 206, 200], {})


def test_less_than_the_rest(site: Site, folder: Path) -> None:
    serve(site, month())
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    span = {"Content-Range": f"bytes 100000-100999/{len(month())}"}
    site.answer(206, headers=span, body=month()[100_000:101_000])
    with failing(Interrupted, f"{site.url}/{NAME}", f"{len(month()):,} bytes"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert asked(site.requests[-1])["Range"] == "bytes=101000-"


def test_nothing_left_to_send(site: Site, folder: Path) -> None:
    """Ended between the last byte and the rename."""
    serve(site, month())
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    (folder / BROKEN_OFF[0]).write_bytes(month())
    with failing(Interrupted, f"{site.url}/{NAME}", "starts anew"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert statuses(site) == [200, 416, 200]
    assert names(folder) == WHOLE


def test_stall(site: Site, folder: Path) -> None:
    serve(site, month())
    site.stall(after=100_000)
    began = time.monotonic()
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder, timeout=0.5)
    assert 0.4 < time.monotonic() - began < 5
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert asked(site.requests[-1])["Range"] == "bytes=100000-"


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server's address, and the requests it got; it hangs up after each answer."""
    requests: list[str] = []

    def serve_each() -> None:
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                requests.append(connection.recv(65536).decode())
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        thread = threading.Thread(target=serve_each)
        thread.start()
        try:
            yield "http://{}:{}".format(*server.getsockname()), requests
        finally:
            thread.join()


OLD_STYLE = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nConnection: close\r\n\r\n' + month()
CHUNKED = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n'
CHUNKED += f"{len(month()):x}\r\n".encode() + month() + b"\r\n0\r\n\r\n"
UNCHANGED = b"HTTP/1.1 304 Not Modified\r\n\r\n"


@pytest.mark.parametrize("whole", [OLD_STYLE, CHUNKED], ids=["old style", "chunked"])
def test_length_not_told(folder: Path, whole: bytes) -> None:
    with answering(whole, UNCHANGED) as (url, requests):
        for _ in range(2):
            assert fetch_month(JANUARY, url, folder).read_bytes() == month()
    assert ["If-None-Match" in request for request in requests] == [False, True]
    assert names(folder) == WHOLE


def test_length_not_told_and_broken_off(folder: Path) -> None:
    size = len(month())
    rest = f'HTTP/1.1 206 Partial Content\r\nETag: "1"\r\nContent-Length: {size - 100_000}\r\n'
    rest += f"Content-Range: bytes 100000-{size - 1}/{size}\r\n\r\n"
    broken = CHUNKED[: CHUNKED.index(b"PAR1") + 100_000]
    with answering(broken, rest.encode() + month()[100_000:]) as (url, requests):
        with failing(Interrupted, f"{url}/{NAME}"):
            fetch_month(JANUARY, url, folder)
        assert fetch_month(JANUARY, url, folder).read_bytes() == month()
    assert "Range: bytes=100000-\r\n" in requests[1]
    assert names(folder) == WHOLE


@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x01\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent"])
def test_no_answer_to_make_sense_of(folder: Path, answer: bytes) -> None:
    with answering(answer) as (url, _), failing(Interrupted, f"{url}/{NAME}"):
        fetch_month(JANUARY, url, folder)
    assert names(folder) == []


# --- a server that says no ---

RECENT = date.today() - timedelta(days=40)
LAST_MONTH = TripMonth("yellow", RECENT.year, RECENT.month)
NOT_YET = f"{LAST_MONTH} is not published yet"
PROXY = b"<html>The proxy says:\nno.</html>"


@pytest.mark.parametrize(
    ("trips", "status", "body", "kind", "words"),
    [
        (JANUARY, None, b"", NotPublished, "no yellow 2021-01|HTTP 403|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 403, b"", NotPublished, "no yellow 2021-01|HTTP 403|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 404, PROXY, NotPublished, "no yellow 2021-01|HTTP 404|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 410, b"", NotPublished, "no yellow 2021-01|HTTP 410|NYC_TAXI_SOURCE_URL"),
        (LAST_MONTH, None, b"", NotPublished, f"{NOT_YET}|HTTP 403"),
        (LAST_MONTH, 404, b"", NotPublished, f"{NOT_YET}|HTTP 404"),
        (JANUARY, 403, BLOCKED_PAGE, Interrupted, "throttling|Request blocked"),
        (LAST_MONTH, 403, BLOCKED_PAGE, Interrupted, "throttling|Request blocked"),
        (JANUARY, 403, PROXY, Refused, "HTTP 403|proxy|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 403, PROXY * 100_000, Refused, "HTTP 403|proxy|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 400, PROXY, Refused, "HTTP 400|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 401, PROXY, Refused, "HTTP 401|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 204, b"", Refused, "HTTP 204|NYC_TAXI_SOURCE_URL"),
        (JANUARY, 408, b"", Interrupted, "HTTP 408"),
        (JANUARY, 429, PROXY, Interrupted, "throttling|HTTP 429|NYC_TAXI_MONTHS_AT_ONCE=1"),
        (JANUARY, 500, PROXY, Interrupted, "trouble|HTTP 500"),
        (JANUARY, 503, BLOCKED_PAGE, Interrupted, "trouble|HTTP 503"),
    ],
)
def test_no(
    site: Site,
    folder: Path,
    trips: TripMonth,
    status: int | None,
    body: bytes,
    kind: type[NycTaxiError],
    words: str,
) -> None:
    if status:
        site.answer(status, body=body)
    with failing(kind, f"{site.url}/{trips.stem}.parquet", *words.split("|")):
        fetch_month(trips, site.url, folder)
    assert names(folder) == []
    serve(site, month(), f"{trips.stem}.parquet")
    assert fetch_month(trips, site.url, folder).read_bytes() == month()


def test_blocked_in_earnest(site: Site, folder: Path) -> None:
    site.answer(403, body=real("broken/yellow_tripdata_2022-01.http403.parquet"))
    with failing(Interrupted, f"{site.url}/{NAME}", "throttling"):
        fetch_month(JANUARY, site.url, folder)


def test_page_that_is_not_encoded_as_it_says(site: Site, folder: Path) -> None:
    site.answer(403, body=PROXY, headers={"Content-Encoding": "gzip"})
    with failing(Refused, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)


def test_no_keeps_what_is_here(site: Site, folder: Path) -> None:
    serve(site, month())
    fetch_month(JANUARY, site.url, folder)
    serve(site, month(seed=1))
    site.cut(after=100_000)
    with failing(Interrupted):
        fetch_month(JANUARY, site.url, folder)
    before = kept(folder)
    for status in (403, 404, 429, 500):
        site.answer(status)
        with failing(Interrupted if status > 404 else NotPublished):
            fetch_month(JANUARY, site.url, folder)
        assert kept(folder) == before
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site)[-1] == 206


# --- a file that is not what it claims to be ---


def _flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 0xFF
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
def test_damaged(site: Site, folder: Path, damage: str) -> None:
    ending, harm = DAMAGES[damage]
    good = gzip.decompress(month(".csv.gz")) if ending == ".csv" else month(ending)
    name, source = f"{JANUARY.stem}{ending}", f"{site.url}/{TEMPLATE}{ending}"
    serve(site, harm(good), name)
    with failing(Damaged, name, "nothing was kept"):
        fetch_month(JANUARY, source, folder)
    assert names(folder) == []

    serve(site, good, name)
    path = fetch_month(JANUARY, source, folder)
    before = kept(folder)
    serve(site, harm(good), name)
    with failing(Damaged, name, "nothing was kept"):
        fetch_month(JANUARY, source, folder)
    assert kept(folder) == before
    serve(site, good, name)
    assert fetch_month(JANUARY, source, folder) == path
    assert statuses(site) == [200, 200, 200, 304]


@pytest.mark.parametrize(
    ("broken", "trips", "words"),
    [
        ("yellow_tripdata_2021-01.truncated.parquet", JANUARY, "cut off"),
        ("yellow_tripdata_2022-01.http403.parquet", TripMonth("yellow", 2022, 1), "web page"),
    ],
)
def test_damaged_in_earnest(
    site: Site, folder: Path, broken: str, trips: TripMonth, words: str
) -> None:
    serve(site, real(f"broken/{broken}"), f"{trips.stem}.parquet")
    with failing(Damaged, f"{trips.stem}.parquet", words):
        fetch_month(trips, site.url, folder)
    assert names(folder) == []


def test_cut_off_at_its_source_after_a_break(site: Site, folder: Path) -> None:
    serve(site, month())
    site.truncate(NAME, to=200_000)
    site.cut(after=100_000)
    with failing(Interrupted, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    with failing(Damaged, NAME, "cut off"):
        fetch_month(JANUARY, site.url, folder)
    assert (names(folder), statuses(site)) == ([], [200, 206])
    site.heal()
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_gzip_of_several_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(web, "CHUNK", chunk)
    file = tmp_path / f"{JANUARY.stem}.csv.gz"
    member = gzip.compress(os.urandom(1000))
    file.write_bytes(member + gzip.compress(b"") + member)
    verify(file)
    file.write_bytes(member + gzip.compress(b"") + member[:-1])
    with failing(Damaged, file.name):
        verify(file)


@pytest.mark.parametrize("name", ["a*", "a?", "[a]", "{color}", "it's", "%20", "ä ö"])
def test_any_folder(site: Site, tmp_path: Path, name: str) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, tmp_path / name)
    assert path.read_bytes() == month()


# --- several processes, and their end ---

FETCH = """
import resource, sys
from pathlib import Path
from nyc_taxi.errors import NycTaxiError
from nyc_taxi.months import TripMonth
from nyc_taxi.web import fetch_month
source, folder, most = sys.argv[1:]
if int(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
try:
    print(fetch_month(TripMonth("yellow", 2021, 1), source, Path(folder)))
except NycTaxiError as problem:
    print(type(problem).__name__, problem)
"""


def start(site: Site, folder: Path, largest_file: int = 0) -> subprocess.Popen[str]:
    """`fetch_month` in a process of its own; prints the path or the error."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FETCH, site.url, str(folder), str(largest_file)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "flows")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    return out.strip()


def wait_for_a_quarter(folder: Path) -> None:
    part, until = folder / BROKEN_OFF[0], time.monotonic() + 30
    while not part.exists() or part.stat().st_size < len(month()) // 4:
        assert time.monotonic() < until, "the download does not go on"
        time.sleep(0.01)


def test_two_at_once(site: Site, folder: Path) -> None:
    serve(site, month())
    site.slow(len(month()))
    both = [start(site, folder) for _ in range(2)]
    assert [printed(process) for process in both] == [str(folder / WHOLE[0])] * 2
    assert statuses(site) == [200, 304]
    assert kept(folder)[WHOLE[0]] == month()
    assert names(folder) == WHOLE


def test_killed_half_way(site: Site, folder: Path) -> None:
    serve(site, month())
    site.slow(len(month()) / 2)
    with start(site, folder) as process:
        wait_for_a_quarter(folder)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert names(folder) == BROKEN_OFF
    site.heal()
    had = (folder / BROKEN_OFF[0]).stat().st_size
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    again = site.requests[-1]
    assert (again.status, asked(again)["Range"]) == (206, f"bytes={had}-")
    assert again.bytes_sent == len(month()) - had
    assert names(folder) == WHOLE


def test_killed_while_another_waits(site: Site, folder: Path) -> None:
    serve(site, month())
    site.stall(after=len(month()) // 2)
    with start(site, folder) as first:
        wait_for_a_quarter(folder)
        second = start(site, folder)
        time.sleep(0.5)
        first.kill()
    assert printed(second) == str(folder / WHOLE[0])
    assert statuses(site) == [200, 206]
    assert kept(folder)[WHOLE[0]] == month()
    assert names(folder) == WHOLE


def test_waits_for_another_only_so_long(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_WAIT", "0.2")
    serve(site, month())
    target = folder / WHOLE[0]
    with only_writer(target), failing(Busy, str(target)):
        fetch_month(JANUARY, site.url, folder)
    assert site.requests == []
    assert fetch_month(JANUARY, site.url, folder) == target


# --- a disk that will not take it ---

PAGE = resource.getpagesize()
PAGES = -(-len(month()) // PAGE)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(mounted)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def fill(disk: Path, room: int) -> None:
    """Leave this many pages free."""
    (disk / "filler").write_bytes(bytes(PAGE * (os.statvfs(disk).f_bavail - room)))
    assert os.statvfs(disk).f_bavail == room


@pytest.mark.parametrize("room", [0, 1, 2, PAGES // 2, PAGES])
def test_full_disk(site: Site, disk: Path, room: int) -> None:
    serve(site, month(rows=1_000))
    fetch_month(JANUARY, site.url, disk)
    fill(disk, room)
    before = kept(disk)
    serve(site, month())
    with failing(CannotWrite, str(disk / WHOLE[0]), "No space left on device"):
        fetch_month(JANUARY, site.url, disk)
    assert kept(disk) == before
    (disk / "filler").unlink()
    assert fetch_month(JANUARY, site.url, disk).read_bytes() == month()
    assert names(disk) == WHOLE


def test_disk_just_large_enough(site: Site, disk: Path) -> None:
    serve(site, month())
    fill(disk, PAGES + 1)
    assert fetch_month(JANUARY, site.url, disk).read_bytes() == month()
    fetch_month(JANUARY, site.url, disk)
    assert statuses(site) == [200, 304]


@pytest.mark.parametrize("most", [100_000, 10])
def test_file_larger_than_allowed(site: Site, folder: Path, most: int) -> None:
    serve(site, month(rows=1_000))
    fetch_month(JANUARY, site.url, folder)
    before = kept(folder)
    serve(site, month())
    said = printed(start(site, folder, largest_file=most))
    assert said.startswith(f"CannotWrite cannot write {folder / WHOLE[0]}: File too large;")
    assert "\n" not in said
    assert kept(folder) == before


@pytest.mark.parametrize("below", ["", "raw", "raw/deeper"])
def test_folder_that_is_a_file(site: Site, tmp_path: Path, below: str) -> None:
    serve(site, month())
    (tmp_path / "file").write_text("in the way")
    with failing(CannotWrite, str(tmp_path / "file" / below / WHOLE[0])):
        fetch_month(JANUARY, site.url, tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "in the way"
    assert site.requests == []


def test_file_that_is_a_folder(site: Site, folder: Path) -> None:
    serve(site, month())
    (folder / WHOLE[0]).mkdir(parents=True)
    with failing(CannotWrite, str(folder / WHOLE[0])):
        fetch_month(JANUARY, site.url, folder)
    assert names(folder) == []
    assert (folder / WHOLE[0]).is_dir()
