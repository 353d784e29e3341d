"""Downloads of a month: atomic, resumed, and skipped while unchanged."""

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
    COMPLETE,
    JANUARY,
    NAME,
    PARTIAL,
    TEMPLATE,
    conditions,
    contents,
    fails_with,
    month_bytes,
    names,
    serve,
    statuses,
)


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz"])
def test_download_has_every_byte(site: Site, folder: Path, ending: str) -> None:
    name = f"{JANUARY.stem}{ending}"
    serve(site, month_bytes(ending), name)
    path = fetch_month(JANUARY, f"{site.url}/{TEMPLATE}{ending}", folder)
    assert path == folder / "yellow" / name
    assert path.read_bytes() == month_bytes(ending)
    assert names(folder) == [f"yellow/{name}", f"yellow/{name}.json"]
    assert [conditions(request) for request in site.requests] == [{}]


def test_unchanged_file_is_not_sent_again(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    path = fetch_month(JANUARY, site.url, folder)
    before = contents(folder)
    assert fetch_month(JANUARY, site.url, folder) == path
    again = site.requests[-1]
    assert (again.status, again.bytes_sent) == (304, 0)
    assert list(conditions(again)) == ["If-None-Match"]
    assert contents(folder) == before


def test_changed_file_is_sent_again(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    fetch_month(JANUARY, site.url, folder)
    serve(site, month_bytes(seed=1))
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes(seed=1)
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site) == [200, 200, 304]
    assert names(folder) == COMPLETE


@pytest.mark.parametrize("damage", ["truncated", "missing", "invalid metadata", "another URL"])
def test_file_without_valid_metadata_is_sent_again(site: Site, folder: Path, damage: str) -> None:
    serve(site, month_bytes())
    path = fetch_month(JANUARY, site.url, folder)
    metadata, source = path.with_name(f"{NAME}.json"), site.url
    if damage == "truncated":
        os.truncate(path, 1000)
    elif damage == "missing":
        path.unlink()
    elif damage == "invalid metadata":
        metadata.write_text(metadata.read_text()[:-10])
    else:
        source += "/elsewhere"
        (site.folder / "elsewhere").mkdir()
        serve(site, month_bytes(), f"elsewhere/{NAME}")
    assert fetch_month(JANUARY, source, folder).read_bytes() == month_bytes()
    assert (conditions(site.requests[-1]), statuses(site)) == ({}, [200, 200])


def test_server_without_ranges_is_supported(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.no_etag()
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    for seed in (0, 1):
        serve(site, month_bytes(seed=seed))
        assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes(seed=seed)
    assert statuses(site) == [200, 200, 200]
    assert "Range" not in {name for request in site.requests for name in conditions(request)}
    assert names(folder) == COMPLETE


def test_months_of_one_template_are_stored_separately(site: Site, folder: Path) -> None:
    february = TripMonth("yellow", 2021, 2)
    for trips in (JANUARY, february):
        (site.folder / f"{trips.month:02}").mkdir()
        serve(site, month_bytes(seed=trips.month), f"{trips.month:02}/yellow.parquet")
    source = f"{site.url}/{{month:02}}/{{color}}.parquet"
    paths = [fetch_month(trips, source, folder) for trips in (JANUARY, february)]
    assert [path.read_bytes() for path in paths] == [month_bytes(seed=1), month_bytes(seed=2)]


def test_redirects_are_followed(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.answer(302, path="/old/" + NAME, headers={"Location": f"{site.url}/{NAME}"}, times=None)
    assert fetch_month(JANUARY, f"{site.url}/old", folder).read_bytes() == month_bytes()
    site.answer(302, path="/round/" + NAME, headers={"Location": NAME}, times=None)
    with fails_with(SourceRefusedError, f"{site.url}/round/{NAME}"):
        fetch_month(JANUARY, f"{site.url}/round", folder)


def test_local_file_is_not_copied(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / NAME
    file.write_bytes(month_bytes())
    assert fetch_month(JANUARY, str(tmp_path), folder) == file
    file.write_bytes(month_bytes()[:-100])
    with fails_with(CorruptFileError, NAME):
        fetch_month(JANUARY, str(tmp_path), folder)
    assert file.read_bytes() == month_bytes()[:-100]
    assert not folder.exists()


# --- broken downloads ---


def test_broken_download_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.cut(after=100_000, times=3)
    for tries in (1, 2, 3):
        with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
            fetch_month(JANUARY, site.url, folder)
        assert names(folder) == PARTIAL
        assert contents(folder)[PARTIAL[0]] == month_bytes()[: tries * 100_000]
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert statuses(site) == [200, 206, 206, 206]
    assert [conditions(request).get("Range") for request in site.requests[1:]] == [
        f"bytes={tries * 100_000}-" for tries in (1, 2, 3)
    ]
    assert all("If-Range" in conditions(request) for request in site.requests[1:])
    assert sum(request.bytes_sent for request in site.requests) == len(month_bytes())
    assert names(folder) == COMPLETE
    fetch_month(JANUARY, site.url, folder)
    assert statuses(site)[-1] == 304


def test_break_before_the_first_byte_is_retried(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.cut(after=0)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert "Range" not in conditions(site.requests[-1])


def test_file_changed_after_a_break_starts_from_zero(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.change(NAME, month_bytes(seed=1))
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes(seed=1)
    assert (statuses(site), list(conditions(site.requests[-1]))) == (
        [200, 200],
        ["Range", "If-Range"],
    )
    assert names(folder) == COMPLETE


def test_partial_new_file_keeps_the_old_one(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    path = fetch_month(JANUARY, site.url, folder)
    serve(site, month_bytes(seed=1))
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    assert path.read_bytes() == month_bytes()
    assert names(folder) == sorted(COMPLETE + PARTIAL)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes(seed=1)
    last = conditions(site.requests[-1])
    assert list(last) == ["If-None-Match", "Range", "If-Range"]
    assert last["If-None-Match"] != last["If-Range"]
    assert statuses(site) == [200, 200, 206]
    assert names(folder) == COMPLETE


def test_partial_file_is_deleted_when_the_old_version_returns(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    path = fetch_month(JANUARY, site.url, folder)
    serve(site, month_bytes(seed=1))
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    serve(site, month_bytes())
    assert fetch_month(JANUARY, site.url, folder) == path
    assert path.read_bytes() == month_bytes()
    assert statuses(site) == [200, 200, 304]
    assert names(folder) == COMPLETE


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-99/1000"},
        {"Content-Range": f"bytes 100001-100100/{len(month_bytes())}"},
        {"Content-Range": f"bytes 100000-100099/{len(month_bytes())}", "ETag": '"of another file"'},
        {},
    ],
    ids=["from the start", "another offset", "of another file", "unknown offset"],
)
def test_wrong_range_starts_from_zero(site: Site, folder: Path, headers: dict[str, str]) -> None:
    serve(site, month_bytes())
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    site.answer(206, headers=headers, body=bytes(100))
    with fails_with(TransientSourceError, f"{site.url}/{NAME}", "starts from zero"):
        fetch_month(JANUARY, site.url, folder)
    assert names(folder) == []
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert (statuses(site), conditions(site.requests[-1])) == ([200, 206, 200], {})


def test_incomplete_range_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    span = {"Content-Range": f"bytes 100000-100999/{len(month_bytes())}"}
    site.answer(206, headers=span, body=month_bytes()[100_000:101_000])
    with fails_with(TransientSourceError, f"{site.url}/{NAME}", f"{len(month_bytes()):,} bytes"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert conditions(site.requests[-1])["Range"] == "bytes=101000-"


def test_complete_part_is_fetched_again_after_416(site: Site, folder: Path) -> None:
    """The process ended between the last byte and the rename."""
    serve(site, month_bytes())
    site.cut(after=100_000)
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder)
    (folder / PARTIAL[0]).write_bytes(month_bytes())
    with fails_with(TransientSourceError, f"{site.url}/{NAME}", "starts from zero"):
        fetch_month(JANUARY, site.url, folder)
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert statuses(site) == [200, 416, 200]
    assert names(folder) == COMPLETE


def test_stalled_download_times_out_and_resumes(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.stall(after=100_000)
    started = time.monotonic()
    with fails_with(TransientSourceError, f"{site.url}/{NAME}"):
        fetch_month(JANUARY, site.url, folder, timeout=0.5)
    assert 0.4 < time.monotonic() - started < 5
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert conditions(site.requests[-1])["Range"] == "bytes=100000-"


@contextmanager
def run_replies(*replies: bytes) -> Iterator[tuple[str, list[str]]]:
    """Run a server that hangs up after each reply; yield its URL and the requests."""
    requests: list[str] = []

    def serve_each() -> None:
        for reply in replies:
            connection, _ = server.accept()
            with connection:
                requests.append(connection.recv(65536).decode())
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        thread = threading.Thread(target=serve_each)
        thread.start()
        try:
            yield "http://{}:{}".format(*server.getsockname()), requests
        finally:
            thread.join()


OLD_STYLE = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nConnection: close\r\n\r\n' + month_bytes()
CHUNKED = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n'
CHUNKED += f"{len(month_bytes()):x}\r\n".encode() + month_bytes() + b"\r\n0\r\n\r\n"
UNCHANGED = b"HTTP/1.1 304 Not Modified\r\n\r\n"


@pytest.mark.parametrize("whole", [OLD_STYLE, CHUNKED], ids=["old style", "chunked"])
def test_download_without_length_is_complete(folder: Path, whole: bytes) -> None:
    with run_replies(whole, UNCHANGED) as (url, requests):
        for _ in range(2):
            assert fetch_month(JANUARY, url, folder).read_bytes() == month_bytes()
    assert ["If-None-Match" in request for request in requests] == [False, True]
    assert names(folder) == COMPLETE


def test_truncated_download_without_length_is_rejected(folder: Path) -> None:
    size = len(month_bytes())
    rest = f'HTTP/1.1 206 Partial Content\r\nETag: "1"\r\nContent-Length: {size - 100_000}\r\n'
    rest += f"Content-Range: bytes 100000-{size - 1}/{size}\r\n\r\n"
    broken = CHUNKED[: CHUNKED.index(b"PAR1") + 100_000]
    with run_replies(broken, rest.encode() + month_bytes()[100_000:]) as (url, requests):
        with fails_with(TransientSourceError, f"{url}/{NAME}"):
            fetch_month(JANUARY, url, folder)
        assert fetch_month(JANUARY, url, folder).read_bytes() == month_bytes()
    assert "Range: bytes=100000-\r\n" in requests[1]
    assert names(folder) == COMPLETE


@pytest.mark.parametrize("reply", [b"", b"\x15\x03\x01\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent"])
def test_invalid_response_is_transient(folder: Path, reply: bytes) -> None:
    with run_replies(reply) as (url, _), fails_with(TransientSourceError, f"{url}/{NAME}"):
        fetch_month(JANUARY, url, folder)
    assert names(folder) == []
