"""HTTP statuses and failed host names: the same error for every request, and Retry-After."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from nyc_taxi.doctor import check_source
from nyc_taxi.errors import (
    NotPublishedError,
    NycTaxiError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.sources.http_client import get
from synthetic_tlc import Site
from synthetic_tlc.site import BLOCKED_PAGE
from tests.support.downloads import fails_with, serve, statuses
from tests.support.http_requests import CLIENTS, body


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("status", "page", "kind"),
    [
        (401, b"who?", SourceRefusedError),
        (403, b"<html>no</html>", SourceRefusedError),
        (403, BLOCKED_PAGE, TransientSourceError),
        (
            403,
            b"<Code>AccessDenied</Code><Message>Request has expired</Message>",
            SourceRefusedError,
        ),
        (408, b"", TransientSourceError),
        (425, b"", TransientSourceError),
        (429, b"", TransientSourceError),
        (502, b"", TransientSourceError),
    ],
)
def test_status_maps_to_the_same_error_for_all_requests(
    site: Site, folder: Path, client: str, status: int, page: bytes, kind: type[NycTaxiError]
) -> None:
    """For reference files, a throttling 403 meant a missing file, and 408 was not retried."""
    site.answer(status, body=page, times=None)
    with fails_with(kind, f"HTTP {status}", site.url):
        CLIENTS[client](f"{site.url}/trip-data?sig=secret", folder)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (socket.EAI_AGAIN, TransientSourceError),
        (socket.EAI_FAIL, TransientSourceError),
        (socket.EAI_NONAME, SourceRefusedError),
        (socket.EAI_NODATA, SourceRefusedError),
    ],
)
def test_temporary_dns_failure_is_transient(
    folder: Path, monkeypatch: pytest.MonkeyPatch, client: str, code: int, kind: type[NycTaxiError]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with fails_with(kind, "'h.example'"):
        CLIENTS[client]("http://h.example/trip-data", folder)


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.few(2)
@pytest.mark.parametrize("status", [403, 429, 503])
@pytest.mark.parametrize("value", [lambda: "1", lambda: in_seconds(2)], ids=["seconds", "date"])
def test_retry_after_delays_the_retry(site: Site, status: int, value: Callable[[], str]) -> None:
    serve(site, b"content", "file")
    site.answer(status, body=BLOCKED_PAGE, headers={"Retry-After": value()})
    started = time.monotonic()
    assert get(f"{site.url}/file", body) == b"content"
    assert 0.9 < time.monotonic() - started < 10
    assert statuses(site) == [status, 200]


@pytest.mark.parametrize(
    ("value", "requests"),
    [
        ("", 1),
        ("0", 1),
        ("soon", 1),
        ("-1", 1),
        ("Thu, 01 Jan 1970", 1),
        ("1.5", 1),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 1),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 1),
    ],
)
def test_invalid_retry_after_is_ignored(site: Site, value: str, requests: int) -> None:
    site.answer(503, headers={"Retry-After": value}, times=None)
    with fails_with(TransientSourceError, "HTTP 503"):
        get(f"{site.url}/file", body)
    assert len(site.requests) == requests


def test_long_retry_after_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYC_TAXI_WAIT", "2")
    site.answer(429, headers={"Retry-After": "3600"}, times=None)
    with fails_with(SourceRefusedError, site.url, "3,600 s", "NYC_TAXI_WAIT=2"):
        get(f"{site.url}/file", body)
    assert statuses(site) == [429]


def test_doctor_ignores_retry_after(site: Site) -> None:
    site.answer(429, headers={"Retry-After": "20"}, times=None)
    started = time.monotonic()
    with fails_with(SourceRefusedError, "20 s"):
        check_source(site.url, 5)
    assert time.monotonic() - started < 5


def test_missing_reference_file_is_not_published(site: Site) -> None:
    with pytest.raises(NotPublishedError, match=r"does not exist \(HTTP 403\)"):
        get(f"{site.url}/file", body)
