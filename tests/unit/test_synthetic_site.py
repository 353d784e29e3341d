"""The synthetic site: it behaves like the TLC's, with the faults that tests inject."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from synthetic_tlc import Site
from synthetic_tlc.site import BLOCKED_PAGE
from tests.support.downloads import real_file

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
    published = real_file("broken/yellow_tripdata_2022-01.http403.parquet").read_bytes()
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
