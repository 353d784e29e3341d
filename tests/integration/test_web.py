"""A month comes over the wire whole or not at all, and only what is missing is asked again."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nyc_taxi.errors import (
    CorruptFileError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.sources.tlc import fetch_month
from nyc_taxi.trips.months import TripMonth
from synthetic_tlc import Site
from tests.support.downloads import (
    BROKEN_OFF,
    JANUARY,
    NAME,
    TEMPLATE,
    WHOLE,
    asked,
    failing,
    kept,
    month,
    names,
    serve,
    statuses,
)


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz"])
def test_download_has_every_byte(site: Site, folder: Path, ending: str) -> None:
    name = f"{JANUARY.stem}{ending}"
    serve(site, month(ending), name)
    path = fetch_month(JANUARY, f"{site.url}/{TEMPLATE}{ending}", folder)
    assert path == folder / "yellow" / name
    assert path.read_bytes() == month(ending)
    assert names(folder) == [f"yellow/{name}", f"yellow/{name}.json"]
    assert [asked(request) for request in site.requests] == [{}]


def test_unchanged_file_is_not_sent_again(site: Site, folder: Path) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, folder)
    before = kept(folder)
    assert fetch_month(JANUARY, site.url, folder) == path
    again = site.requests[-1]
    assert (again.status, again.bytes_sent) == (304, 0)
    assert list(asked(again)) == ["If-None-Match"]
    assert kept(folder) == before


def test_changed_file_is_sent_again(site: Site, folder: Path) -> None:
    serve(site, month())
    fetch_month(JANUARY, site.url, folder)
    serve(site, month(seed=1))
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=1)
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site) == [200, 200, 304]
    assert names(folder) == WHOLE


@pytest.mark.parametrize("harm", ["cut", "gone", "unknown", "from elsewhere"])
def test_file_without_valid_metadata_is_sent_again(site: Site, folder: Path, harm: str) -> None:
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


def test_server_without_ranges_is_supported(site: Site, folder: Path) -> None:
    serve(site, month())
    site.no_etag()
    site.cut(after=100_000)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    for seed in (0, 1):
        serve(site, month(seed=seed))
        assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=seed)
    assert statuses(site) == [200, 200, 200]
    assert "Range" not in {name for request in site.requests for name in asked(request)}
    assert names(folder) == WHOLE


def test_months_of_one_template_are_stored_separately(site: Site, folder: Path) -> None:
    february = TripMonth("yellow", 2021, 2)
    for trips in (JANUARY, february):
        (site.folder / f"{trips.month:02}").mkdir()
        serve(site, month(seed=trips.month), f"{trips.month:02}/yellow.parquet")
    source = f"{site.url}/{{month:02}}/{{color}}.parquet"
    paths = [fetch_month(trips, source, folder) for trips in (JANUARY, february)]
    assert [path.read_bytes() for path in paths] == [month(seed=1), month(seed=2)]


def test_redirects_are_followed(site: Site, folder: Path) -> None:
    serve(site, month())
    site.answer(302, path="/old/" + NAME, headers={"Location": f"{site.url}/{NAME}"}, times=None)
    assert fetch_month(JANUARY, f"{site.url}/old", folder).read_bytes() == month()
    site.answer(302, path="/round/" + NAME, headers={"Location": NAME}, times=None)
    with failing(SourceRefusedError, f"{site.url}/round/{NAME}"):
        fetch_month(JANUARY, f"{site.url}/round", folder)


def test_local_file_is_not_copied(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / NAME
    file.write_bytes(month())
    assert fetch_month(JANUARY, str(tmp_path), folder) == file
    file.write_bytes(month()[:-100])
    with failing(CorruptFileError, NAME):
        fetch_month(JANUARY, str(tmp_path), folder)
    assert file.read_bytes() == month()[:-100]
    assert not folder.exists()


# --- a download that breaks off ---


def test_broken_download_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month())
    site.cut(after=100_000, times=3)
    for tries in (1, 2, 3):
        with failing(TransientSourceError, f"{site.url}/{NAME}"):
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


def test_break_before_the_first_byte_is_retried(site: Site, folder: Path) -> None:
    serve(site, month())
    site.cut(after=0)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert "Range" not in asked(site.requests[-1])


def test_file_changed_after_a_break_starts_from_zero(site: Site, folder: Path) -> None:
    serve(site, month())
    site.change(NAME, month(seed=1))
    site.cut(after=100_000)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=1)
    assert (statuses(site), list(asked(site.requests[-1]))) == ([200, 200], ["Range", "If-Range"])
    assert names(folder) == WHOLE


def test_partial_new_file_keeps_the_old_one(site: Site, folder: Path) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, folder)
    serve(site, month(seed=1))
    site.cut(after=100_000)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert path.read_bytes() == month()
    assert names(folder) == sorted(WHOLE + BROKEN_OFF)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month(seed=1)
    last = asked(site.requests[-1])
    assert list(last) == ["If-None-Match", "Range", "If-Range"]
    assert last["If-None-Match"] != last["If-Range"]
    assert statuses(site) == [200, 200, 206]
    assert names(folder) == WHOLE


def test_partial_file_is_deleted_when_the_old_version_returns(site: Site, folder: Path) -> None:
    serve(site, month())
    path = fetch_month(JANUARY, site.url, folder)
    serve(site, month(seed=1))
    site.cut(after=100_000)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
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
def test_wrong_range_starts_from_zero(site: Site, folder: Path, headers: dict[str, str]) -> None:
    serve(site, month())
    site.cut(after=100_000)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    site.answer(206, headers=headers, body=bytes(100))
    with failing(TransientSourceError, f"{site.url}/{NAME}", "starts anew"):
        fetch_month(JANUARY, site.url, folder)
    assert names(folder) == []
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert (statuses(site), asked(site.requests[-1])) == ([200, 206, 200], {})


def test_incomplete_range_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month())
    site.cut(after=100_000)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    span = {"Content-Range": f"bytes 100000-100999/{len(month())}"}
    site.answer(206, headers=span, body=month()[100_000:101_000])
    with failing(TransientSourceError, f"{site.url}/{NAME}", f"{len(month()):,} bytes"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert asked(site.requests[-1])["Range"] == "bytes=101000-"


def test_complete_part_is_fetched_again_after_416(site: Site, folder: Path) -> None:
    """Ended between the last byte and the rename."""
    serve(site, month())
    site.cut(after=100_000)
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    (folder / BROKEN_OFF[0]).write_bytes(month())
    with failing(TransientSourceError, f"{site.url}/{NAME}", "starts anew"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert statuses(site) == [200, 416, 200]
    assert names(folder) == WHOLE


def test_stalled_download_times_out_and_resumes(site: Site, folder: Path) -> None:
    serve(site, month())
    site.stall(after=100_000)
    began = time.monotonic()
    with failing(TransientSourceError, f"{site.url}/{NAME}"):
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
def test_download_without_length_is_complete(folder: Path, whole: bytes) -> None:
    with answering(whole, UNCHANGED) as (url, requests):
        for _ in range(2):
            assert fetch_month(JANUARY, url, folder).read_bytes() == month()
    assert ["If-None-Match" in request for request in requests] == [False, True]
    assert names(folder) == WHOLE


def test_truncated_download_without_length_is_rejected(folder: Path) -> None:
    size = len(month())
    rest = f'HTTP/1.1 206 Partial Content\r\nETag: "1"\r\nContent-Length: {size - 100_000}\r\n'
    rest += f"Content-Range: bytes 100000-{size - 1}/{size}\r\n\r\n"
    broken = CHUNKED[: CHUNKED.index(b"PAR1") + 100_000]
    with answering(broken, rest.encode() + month()[100_000:]) as (url, requests):
        with failing(TransientSourceError, f"{url}/{NAME}"):
            fetch_month(JANUARY, url, folder)
        assert fetch_month(JANUARY, url, folder).read_bytes() == month()
    assert "Range: bytes=100000-\r\n" in requests[1]
    assert names(folder) == WHOLE


@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x01\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent"])
def test_invalid_response_is_transient(folder: Path, answer: bytes) -> None:
    with answering(answer) as (url, _), failing(TransientSourceError, f"{url}/{NAME}"):
        fetch_month(JANUARY, url, folder)
    assert names(folder) == []
