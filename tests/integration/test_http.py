"""HTTP client: errors, retries, credentials, TLS, proxies and cancellation."""

from __future__ import annotations

import base64
import logging
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.doctor import check_source
from nyc_taxi.errors import (
    InvalidInputError,
    NotPublishedError,
    NycTaxiError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.network import create_tls_context, proxy_for
from nyc_taxi.sources.http_client import Reply, get
from nyc_taxi.sources.reference_files import fetch_reference_file
from nyc_taxi.sources.tlc import fetch_month, published_version
from nyc_taxi.urls import safe_url
from synthetic_tlc import Site
from synthetic_tlc.site import BLOCKED_PAGE
from tests.support.downloads import (
    JANUARY,
    NAME,
    PARTIAL,
    contents,
    fails_with,
    month_bytes,
    names,
    serve,
    statuses,
)
from tests.support.http_servers import TestProxy, run_server, run_tls_server, write_certificate

ENVIRONMENT = [
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def body(reply: Reply) -> bytes:
    return b"".join(reply.chunks)


CLIENTS: dict[str, Callable[[str, Path], object]] = {
    "months": lambda source, folder: fetch_month(JANUARY, source, folder, 5),
    "versions": lambda source, folder: published_version(JANUARY, source, 5),
    "reference files": lambda source, folder: fetch_reference_file("zones.csv", source, folder, 5),
    "doctor": lambda source, folder: check_source(source, 5),
}


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


# --- Retry-After ---


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


# --- credentials ---


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


SECRETS = ["s3cr3t", "us3r", "t0ken", "r3direct"]


@pytest.fixture
def output(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture all logs of httpx, httpcore and the project."""
    for name in ("httpx", "httpcore", "prefect"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def error_texts(problem: BaseException | None) -> Iterator[str]:
    """Yield the text and the attributes of an exception and its causes."""
    while problem is not None:
        yield f"{problem} {problem!r} {vars(problem)}"
        problem = problem.__cause__ or problem.__context__


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


# --- certificates ---


def https_url(port: int, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{port}/file?sig=t0ken"


@pytest.fixture
def served_site(site: Site) -> Site:
    serve(site, b"content", "file")
    return site


@pytest.mark.parametrize(
    ("host", "days", "trusted", "reason"),
    [
        ("127.0.0.1", 2, False, "self-signed certificate"),
        ("127.0.0.1", -1, True, "certificate has expired"),
        ("other.example", 2, True, "not valid for '127.0.0.1'"),
    ],
)
def test_untrusted_certificate_is_refused(
    served_site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    days: int,
    trusted: bool,
    reason: str,
) -> None:
    certificate = write_certificate(tmp_path, host, days)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with (
        run_tls_server(served_site, certificate) as port,
        fails_with(SourceRefusedError, "certificate of 127.0.0.1", reason, "SSL_CERT_FILE"),
    ):
        get(https_url(port), body)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("SSL_CERT_FILE", False),
        ("SSL_CERT_DIR", True),
        ("REQUESTS_CA_BUNDLE", False),
        ("REQUESTS_CA_BUNDLE", True),
        ("CURL_CA_BUNDLE", False),
    ],
)
def test_private_certificate_authority_is_trusted(
    served_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: bool
) -> None:
    monkeypatch.delenv("SSL_CERT_DIR")  # set by the fixture
    path = certificate = write_certificate(tmp_path)
    if folder:
        path = tmp_path / "certificates"
        path.mkdir()
        command = ["openssl", "x509", "-noout", "-hash", "-in", str(certificate)]
        name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        (path / f"{name}.0").symlink_to(certificate)
    monkeypatch.setenv(variable, str(path))
    with run_tls_server(served_site, certificate) as port:
        assert get(https_url(port), body) == b"content"


def test_ssl_cert_file_overrides_other_variables(
    served_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
    with run_tls_server(served_site, certificate) as port:
        assert get(https_url(port), body) == b"content"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("harm", ["missing", "empty", "DER"])
def test_unreadable_certificate_authorities_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, harm: str
) -> None:
    path = tmp_path / "ca.pem"
    if harm != "missing":
        path.write_bytes(b"" if harm == "empty" else bytes(range(256)))
    monkeypatch.setenv(variable, str(path))
    with fails_with(InvalidInputError, f"{variable}={str(path)!r}", "PEM"):
        get("https://127.0.0.1:9/file", body)


def test_unused_certificate_authorities_are_not_read(
    served_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    assert get(f"{served_site.url}/file", body) == b"content"


def test_tls_to_a_plain_server_is_refused(served_site: Site) -> None:
    port = int(served_site.url.rpartition(":")[2])
    with fails_with(SourceRefusedError, "TLS to 127.0.0.1", "NYC_TAXI_SOURCE_URL"):
        get(https_url(port), body)


def test_broken_tls_connection_is_transient(tmp_path: Path) -> None:
    with (
        run_server(lambda connection: None) as port,
        fails_with(TransientSourceError, "127.0.0.1"),
    ):
        get(https_url(port), body)


# --- proxies ---

PROXIED_URL = "http://data.example/file?sig=t0ken"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("form", ["http://us3r:s3cr3t@{}", "http://us3r:s3cr3t@{}/", "{}"])
def test_http_uses_the_proxy(
    served_site: Site, monkeypatch: pytest.MonkeyPatch, variable: str, form: str
) -> None:
    if variable == "HTTP_PROXY":
        monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.setenv(variable, form.format(served_site.url.removeprefix("http://")))
    assert get(PROXIED_URL, body) == b"content"
    [request] = served_site.requests
    assert request.path == PROXIED_URL
    if "us3r" in form:
        credentials = str(request.headers["Proxy-Authorization"]).split()[1]
        assert base64.b64decode(credentials) == b"us3r:s3cr3t"


def test_https_uses_the_proxy(
    served_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path, "data.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with run_tls_server(served_site, certificate) as port:
        proxy = TestProxy(port)
        with run_server(proxy.http) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://us3r:s3cr3t@127.0.0.1:{port}")
            assert get("https://data.example/file?sig=t0ken", body) == b"content"
    [conditions] = proxy.requests
    assert conditions.startswith(b"CONNECT data.example:443 ")
    assert base64.b64encode(b"us3r:s3cr3t") in conditions


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_socks_proxy_is_used(
    served_site: Site, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    proxy = TestProxy(int(served_site.url.rpartition(":")[2]))
    with run_server(proxy.socks) as port:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{port}")
        assert get(PROXIED_URL, body) == b"content"
    assert b"data.example" in proxy.requests[0]


REFUSALS: dict[str, tuple[str, bytes, type[NycTaxiError], str]] = {
    "login": (
        "https",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        SourceRefusedError,
        "407",
    ),
    "login for http": (
        "http",
        b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",
        SourceRefusedError,
        "407",
    ),
    "policy": ("https", b"HTTP/1.1 403 Forbidden\r\n\r\n", SourceRefusedError, "403"),
    "no gateway": ("https", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", TransientSourceError, "502"),
    "time-out": ("https", b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", TransientSourceError, "504"),
    "no SOCKS": ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", SourceRefusedError, "ALL_PROXY"),
    "ruleset": ("socks5", b"\x05\x02\x00\x01\0\0\0\0\0\0", SourceRefusedError, "not allowed"),
    "host": ("socks5", b"\x05\x04\x00\x01\0\0\0\0\0\0", TransientSourceError, "unreachable"),
    "SOCKS that ends": ("socks5", b"\x05", SourceRefusedError, "ALL_PROXY"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusing_proxy_is_named(monkeypatch: pytest.MonkeyPatch, refusal: str) -> None:
    scheme, reply, kind, message = REFUSALS[refusal]
    proxy = TestProxy(9, reply)
    socks = scheme == "socks5"
    with run_server(proxy.socks if socks else proxy.http) as port:
        name = "ALL_PROXY" if socks else f"{scheme.upper()}_PROXY"
        credentials = "" if socks else "us3r:s3cr3t@"
        monkeypatch.setenv(name, f"{scheme if socks else 'http'}://{credentials}127.0.0.1:{port}")
        with fails_with(kind, f"127.0.0.1:{port}", name, message) as _, no_secrets():
            get(f"{'http' if scheme == 'http' else 'https'}://data.example/file?t0ken", body)


def test_silent_socks_proxy_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_server(lambda connection: time.sleep(30)) as port:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{port}")
        with fails_with(TransientSourceError, f"127.0.0.1:{port}", "timed out"):
            get(PROXIED_URL, body, timeout=0.5)


class no_secrets:
    """Asserts that the exception of the block contains no secret."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        text = " ".join(error_texts(problem))
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("url", ["http://data.example/file", "https://data.example/file"])
def test_unreachable_proxy_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    name = f"{url.partition(':')[0].upper()}_PROXY"
    monkeypatch.setenv(name, "http://us3r:s3cr3t@127.0.0.1:9")
    with (
        fails_with(TransientSourceError, "through the proxy http://127.0.0.1:9", name),
        no_secrets(),
    ):
        get(url, body)


def test_proxy_without_tls_is_refused(served_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY=https://... is a common mistake."""
    monkeypatch.setenv("HTTPS_PROXY", served_site.url.replace("http:", "https:"))
    with fails_with(SourceRefusedError, "through the proxy https://127.0.0.1", "check HTTPS_PROXY"):
        get("https://data.example/file", body)


@pytest.mark.parametrize(
    "value", ["socks4://127.0.0.1:9", "ftp://h:9", "http://us3r:s3cr3t@:x", "http://h:port", "://"]
)
def test_invalid_proxy_is_rejected(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with fails_with(InvalidInputError, "ALL_PROXY", "socks5://HOST:PORT"), no_secrets():
        get(PROXIED_URL, body)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_loopback_addresses_bypass_the_proxy(
    served_site: Site, monkeypatch: pytest.MonkeyPatch, host: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert get(f"{served_site.url.replace('127.0.0.1', host)}/file", body) == b"content"


@pytest.mark.parametrize(
    ("rules", "url", "direct"),
    [
        ("*", "http://a.example/", True),
        ("other, *", "http://a.example/", True),
        ("example", "http://a.example/", True),
        (".a.example", "http://a.example/", True),
        ("*.a.example", "http://b.a.example/", True),
        ("A.Example", "http://a.example/", True),
        ("a.example b.example", "http://b.example/", True),
        ("a.example:8080", "http://a.example:8080/", True),
        ("a.example:8080", "http://a.example/", False),
        ("a.example:443", "https://a.example/", True),
        ("ample", "http://a.example/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.1.2.3", "http://10.1.2.3:80/", True),
        ("localhost,127.0.0.0/8,::1/128", "http://a.example/", False),
        ("localhost,::1,[::1],fe80::/10", "http://a.example/", False),
        ("fd00::/8,[fd01::2]", "http://[fd00::1]/", True),
        ("[fe80::1]", "http://[fe80::1]:8080/", True),
        ("[::1", "http://a.example/", False),
        ("", "http://a.example/", False),
    ],
)
def test_no_proxy_rules_are_applied(
    monkeypatch: pytest.MonkeyPatch, rules: str, url: str, direct: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", rules)
    assert (proxy_for(httpx.URL(url)) is None) is direct


# --- cancellation ---


def stall(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(30)


def drip(connection: socket.socket) -> None:
    connection.recv(65536)
    head = f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {len(month_bytes())}\r\n\r\n'
    connection.sendall(head.encode() + month_bytes()[:100_000])
    for n in range(1000):
        connection.sendall(month_bytes()[100_000 + n : 100_001 + n])
        time.sleep(0.05)


def send_without_length(connection: socket.socket) -> None:
    """Send a file without length, which ends with the connection."""
    connection.recv(65536)
    connection.sendall(b'HTTP/1.0 200 OK\r\nETag: "1"\r\n\r\n' + month_bytes()[:100_000])
    time.sleep(30)


def never_reply(connection: socket.socket) -> None:
    """Accept the connection, but not even start TLS."""
    time.sleep(30)


SLOW_SERVERS = {"stall": stall, "drip": drip, "old style": send_without_length, "TLS": never_reply}


@pytest.mark.parametrize("server", SLOW_SERVERS)
@pytest.mark.parametrize("trigger", ["stop", "signal"])
def test_stop_ends_a_download_immediately(folder: Path, server: str, trigger: str) -> None:
    with run_server(SLOW_SERVERS[server]) as port, stoppable() as stop:
        scheme = "https" if server == "TLS" else "http"
        source = f"{scheme}://127.0.0.1:{port}/{{color}}.csv"
        if server != "old style":
            source = source.replace(".csv", ".parquet")
        interrupt = stop.set if trigger == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(1, interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped if trigger == "stop" else KeyboardInterrupt):
            fetch_month(JANUARY, source, folder, timeout=25)
        timer.join()
        assert time.monotonic() - started < 3
    part = PARTIAL if server == "drip" else []
    if server == "old style":
        part = [name.replace(".parquet", ".csv") for name in PARTIAL]
    assert names(folder) == part
    assert all(len(contents(folder)[name]) >= 100_000 for name in part[:1])


@pytest.mark.few(1)
@pytest.mark.parametrize("trigger", ["stop", "signal"])
def test_stop_ends_a_connection_attempt(trigger: str) -> None:
    """The server does not accept connections, like one behind a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, stoppable() as stop:
        url = "http://{}:{}".format(*server.getsockname())
        waiting = [socket.create_connection(server.getsockname())]
        for _ in range(3):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(server.getsockname())
        interrupt = stop.set if trigger == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.5, interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped if trigger == "stop" else KeyboardInterrupt):
            get(url, body, timeout=5)
        timer.join()
        assert time.monotonic() - started < 4
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("trigger", ["stop", "signal"])
def test_stop_ends_the_retry_after_delay(site: Site, trigger: str) -> None:
    site.answer(429, headers={"Retry-After": "20"})
    with stoppable() as stop:
        interrupt = stop.set if trigger == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.5, interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped if trigger == "stop" else KeyboardInterrupt):
            get(f"{site.url}/file", body)
        timer.join()
    assert time.monotonic() - started < 3
    assert statuses(site) == [429]


def test_stopped_download_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.stall(after=100_000)
    with stoppable() as stop:
        threading.Timer(1, stop.set).start()
        with pytest.raises(Stopped):
            fetch_month(JANUARY, site.url, folder)
    assert names(folder) == PARTIAL
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert statuses(site) == [200, 206]


def test_certifi_authorities_are_used_by_default() -> None:
    context = create_tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) > 50


def test_missing_reference_file_is_not_published(site: Site) -> None:
    with pytest.raises(NotPublishedError, match=r"does not exist \(HTTP 403\)"):
        get(f"{site.url}/file", body)
