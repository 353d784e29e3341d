"""Credentials in URLs: sent to their own host only, and not shown anywhere."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from nyc_taxi.errors import NycTaxiError, TransientSourceError
from nyc_taxi.sources.http_client import get
from nyc_taxi.sources.tlc import fetch_month
from nyc_taxi.urls import safe_url
from synthetic_tlc import Site
from tests.support.downloads import (
    JANUARY,
    NAME,
    contents,
    fails_with,
    month_bytes,
    names,
    serve,
    statuses,
)
from tests.support.http_requests import CLIENTS, SECRETS, body, error_texts


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://h.org/a/b", "https://h.org/a/b"),
        ("https://user:pw@h.org:8/a?sig=x#y", "https://h.org:8/a"),
        ("https://token@h.org/a", "https://h.org/a"),
        ("https://user:p@ss@h.org/a", "https://h.org/a"),
        ("https://user:p/ss@h.org/a", "https://..."),
        ("https://user:1/ss@h.org/a", "https://..."),
        ("https://user:p#ss@h.org/a", "https://..."),
        ("https://user:p?ss@h.org/a", "https://..."),
        ("https://h.org?sig=x", "https://h.org"),
        ("https://h.org/@scope/a", "https://h.org/@scope/a"),
        ("http://[::1]:80/a?b", "http://[::1]:80/a"),
        ("http://u:p@[::1/a", "http://[::1/a"),
        ("http://münchen.example/ä?x", "http://münchen.example/ä"),
        ("https://h/{color}_{year}.parquet?sig=x", "https://h/{color}_{year}.parquet"),
        ("https://h/?next=https://u:p@other/", "https://h/"),
        ("user:pw@h.org/a?sig=x", "h.org/a"),
        ("h.org/a?u=https://x", "h.org/a"),
        ("127.0.0.1:8765/a?sig=x", "127.0.0.1:8765/a"),
        ("/folder/a?b#c", "/folder/a?b#c"),
        ("../a folder", "../a folder"),
        (r"C:\data\months", r"C:\data\months"),
        ("", ""),
    ],
)
def test_safe_url_removes_secrets(url: str, safe: str) -> None:
    assert safe_url(url) == safe


@pytest.fixture
def output(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture all logs of httpx, httpcore and the project."""
    for name in ("httpx", "httpcore", "prefect"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def with_credentials(url: str, path: str = "/trip-data") -> str:
    host = url.removeprefix("http://")
    return f"http://us3r:s3cr3t%2F@{host}{path}?sig=t0ken&X-Amz-Signature=t0ken#t0ken"


SITE_STATES: dict[str, Callable[[Site], object]] = {
    "served": lambda site: serve(site, b"content", "trip-data/zones.csv"),
    "missing": lambda site: None,
    "refused": lambda site: site.answer(401, times=None),
    "unavailable": lambda site: site.answer(503, times=None),
    "throttled": lambda site: site.answer(429, times=None, headers={"Retry-After": "9999"}),
    "cut": lambda site: site.cut(after=10, times=None),
    "range": lambda site: site.answer(416, times=None),
    "redirected": lambda site: site.answer(
        302, times=None, headers={"Location": "http://127.0.0.1:9/x?sig=r3direct"}
    ),
    "in circles": lambda site: site.answer(302, times=None, headers={"Location": "/x?r3direct"}),
    "nonsense": lambda site: site.answer(
        302, times=None, headers={"Location": "http://a:r3direct@b:x/"}
    ),
    "ftp": lambda site: site.answer(302, times=None, headers={"Location": "ftp://r3direct@h/"}),
    "down": lambda site: site.close(),
}


@pytest.mark.few(16)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("state", SITE_STATES)
def test_errors_and_logs_contain_no_credentials(
    site: Site, folder: Path, output: pytest.LogCaptureFixture, client: str, state: str
) -> None:
    for name in ("trip-data", "misc"):
        (site.folder / name).mkdir()
    if state not in ("missing", "served"):
        serve(site, month_bytes(), f"trip-data/{NAME}")
        serve(site, month_bytes(), "misc/zones.csv")
    source = with_credentials(site.url)
    SITE_STATES[state](site)
    text = ""
    try:
        text = str(CLIENTS[client](source, folder))
    except NycTaxiError as problem:
        text = " ".join(error_texts(problem))
        assert "\n" not in str(problem)
    files = b" ".join(contents(folder).values()).decode("latin-1") + str(names(folder))
    for secret in SECRETS:
        assert secret not in text
        assert secret not in output.text
        assert secret not in files


def test_credentials_are_sent(site: Site, folder: Path) -> None:
    (site.folder / "trip-data").mkdir()
    serve(site, month_bytes(), f"trip-data/{NAME}")
    assert fetch_month(JANUARY, with_credentials(site.url), folder).read_bytes() == month_bytes()
    [request] = site.requests
    credentials = base64.b64decode(str(request.headers["Authorization"]).split()[1])
    assert credentials == b"us3r:s3cr3t/"
    assert request.path == f"/trip-data/{NAME}?sig=t0ken&X-Amz-Signature=t0ken"


def test_credentials_are_not_sent_to_other_hosts(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Site(tmp_path / "other") as other:
        serve(other, b"content", "file")
        site.answer(302, headers={"Location": "/again?x=1"})
        site.answer(302, headers={"Location": f"{other.url}/file?sig=r3direct"})
        assert get(f"{with_credentials(site.url, '/a')}", body) == b"content"
        assert ["Authorization" in r.headers for r in site.requests] == [True, True]
        [request] = other.requests
        assert request.path == "/file?sig=r3direct"
        assert "Authorization" not in request.headers
        assert "t0ken" not in f"{request.headers}"


def test_cookies_of_redirects_are_sent_back(site: Site) -> None:
    """Some sites redirect to themselves until the cookie is sent back."""
    serve(site, b"content", "file")
    site.answer(302, headers={"Location": "/b", "Set-Cookie": "gate=open"})
    site.answer(302, headers={"Location": "/c"})
    site.answer(302, headers={"Location": "/file"})
    assert get(f"{site.url}/a", body) == b"content"
    assert [r.headers["Cookie"] for r in site.requests] == [None] + ["gate=open"] * 3


@pytest.mark.parametrize(
    ("first", "then", "again"),
    [
        ("?sig=a&se=1", "?sig=b&se=2", False),
        ("?X-Amz-Signature=a&X-Amz-Date=1", "?X-Amz-Signature=b&X-Amz-Date=2", False),
        ("?X-Goog-Signature=a", "?X-Goog-Signature=b", False),
        ("?Expires=1&Signature=a&Key-Pair-Id=k", "?Expires=2&Signature=b&Key-Pair-Id=k", False),
        ("?token=a", "?token=b", False),
        ("?token=a", "", False),
        ("?release=1", "?release=2", True),
        ("?release=1&sig=a", "?sig=a&release=2", True),
        ("?release=1&sig=a", "?release=1&sig=b", False),
    ],
)
def test_renewed_signature_does_not_download_again(
    site: Site, folder: Path, first: str, then: str, again: bool
) -> None:
    serve(site, month_bytes())
    site.cut(after=100_000)
    with fails_with(TransientSourceError):
        fetch_month(JANUARY, site.url + first, folder)
    fetch_month(JANUARY, site.url + then, folder)
    assert statuses(site)[-1] == (200 if again else 206)
    fetch_month(JANUARY, site.url + first, folder)
    assert statuses(site)[-1] == (200 if again else 304)
    assert contents(folder)[f"yellow/{NAME}"] == month_bytes()


def test_unreachable_host_does_not_reveal_the_login(folder: Path) -> None:
    with fails_with(TransientSourceError, "http://127.0.0.1:9/x") as _:
        get("http://us3r:s3cr3t@127.0.0.1:9/x?t0ken", body)
