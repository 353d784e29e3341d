"""The HTTP client: what is retried, what is refused, and what never leaves it."""

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
    BROKEN_OFF,
    JANUARY,
    NAME,
    failing,
    kept,
    month,
    names,
    serve,
    statuses,
)
from tests.support.http_servers import TestProxy, listening, tls, write_certificate

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
    "small files": lambda source, folder: fetch_reference_file("zones.csv", source, folder, 5),
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
def test_a_status_means_the_same_everywhere(
    site: Site, folder: Path, client: str, status: int, page: bytes, kind: type[NycTaxiError]
) -> None:
    """Small files took a throttling 403 for a file that is not there, and 408 for a final one."""
    site.answer(status, body=page, times=None)
    with failing(kind, f"HTTP {status}", site.url):
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
def test_a_temporary_failure_of_name_resolution_is_transient(
    folder: Path, monkeypatch: pytest.MonkeyPatch, client: str, code: int, kind: type[NycTaxiError]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with failing(kind, "'h.example'"):
        CLIENTS[client]("http://h.example/trip-data", folder)


# --- Retry-After ---


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [403, 429, 503])
@pytest.mark.parametrize("value", [lambda: "1", lambda: in_seconds(2)], ids=["seconds", "date"])
def test_retry_after_is_waited_for(site: Site, status: int, value: Callable[[], str]) -> None:
    serve(site, b"content", "file")
    site.answer(status, body=BLOCKED_PAGE, headers={"Retry-After": value()})
    began = time.monotonic()
    assert get(f"{site.url}/file", body) == b"content"
    assert 0.9 < time.monotonic() - began < 10
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
def test_retry_after_without_a_time_to_come(site: Site, value: str, requests: int) -> None:
    site.answer(503, headers={"Retry-After": value}, times=None)
    with failing(TransientSourceError, "HTTP 503"):
        get(f"{site.url}/file", body)
    assert len(site.requests) == requests


def test_retry_after_that_is_too_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYC_TAXI_WAIT", "2")
    site.answer(429, headers={"Retry-After": "3600"}, times=None)
    with failing(SourceRefusedError, site.url, "3,600 s", "NYC_TAXI_WAIT=2"):
        get(f"{site.url}/file", body)
    assert statuses(site) == [429]


def test_the_doctor_does_not_wait(site: Site) -> None:
    site.answer(429, headers={"Retry-After": "20"}, times=None)
    began = time.monotonic()
    with failing(SourceRefusedError, "20 s"):
        check_source(site.url, 5)
    assert time.monotonic() - began < 5


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
def test_safe_url(url: str, safe: str) -> None:
    assert safe_url(url) == safe


SECRETS = ["s3cr3t", "us3r", "t0ken", "r3direct"]


@pytest.fixture
def output(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that httpx, httpcore and the project log."""
    for name in ("httpx", "httpcore", "prefect"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def told(problem: BaseException | None) -> Iterator[str]:
    """Everything that an exception and its causes say or hold."""
    while problem is not None:
        yield f"{problem} {problem!r} {vars(problem)}"
        problem = problem.__cause__ or problem.__context__


def secretly(url: str, path: str = "/trip-data") -> str:
    host = url.removeprefix("http://")
    return f"http://us3r:s3cr3t%2F@{host}{path}?sig=t0ken&X-Amz-Signature=t0ken#t0ken"


SPOILERS: dict[str, Callable[[Site], object]] = {
    "nothing": lambda site: serve(site, b"content", "trip-data/zones.csv"),
    "missing": lambda site: None,
    "refused": lambda site: site.answer(401, times=None),
    "trouble": lambda site: site.answer(503, times=None),
    "throttled": lambda site: site.answer(429, times=None, headers={"Retry-After": "9999"}),
    "cut": lambda site: site.cut(after=10, times=None),
    "range": lambda site: site.answer(416, times=None),
    "elsewhere": lambda site: site.answer(
        302, times=None, headers={"Location": "http://127.0.0.1:9/x?sig=r3direct"}
    ),
    "in circles": lambda site: site.answer(302, times=None, headers={"Location": "/x?r3direct"}),
    "nonsense": lambda site: site.answer(
        302, times=None, headers={"Location": "http://a:r3direct@b:x/"}
    ),
    "ftp": lambda site: site.answer(302, times=None, headers={"Location": "ftp://r3direct@h/"}),
    "down": lambda site: site.close(),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("spoiler", SPOILERS)
def test_no_credentials_are_told(
    site: Site, folder: Path, output: pytest.LogCaptureFixture, client: str, spoiler: str
) -> None:
    for name in ("trip-data", "misc"):
        (site.folder / name).mkdir()
    if spoiler not in ("missing", "nothing"):
        serve(site, month(), f"trip-data/{NAME}")
        serve(site, month(), "misc/zones.csv")
    source = secretly(site.url)
    SPOILERS[spoiler](site)
    said = ""
    try:
        said = str(CLIENTS[client](source, folder))
    except NycTaxiError as problem:
        said = " ".join(told(problem))
        assert "\n" not in str(problem)
    files = b" ".join(kept(folder).values()).decode("latin-1") + str(names(folder))
    for secret in SECRETS:
        assert secret not in said
        assert secret not in output.text
        assert secret not in files


def test_credentials_are_sent(site: Site, folder: Path) -> None:
    (site.folder / "trip-data").mkdir()
    serve(site, month(), f"trip-data/{NAME}")
    assert fetch_month(JANUARY, secretly(site.url), folder).read_bytes() == month()
    [request] = site.requests
    login = base64.b64decode(str(request.headers["Authorization"]).split()[1])
    assert login == b"us3r:s3cr3t/"
    assert request.path == f"/trip-data/{NAME}?sig=t0ken&X-Amz-Signature=t0ken"


def test_credentials_stay_with_their_host(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Site(tmp_path / "other") as other:
        serve(other, b"content", "file")
        site.answer(302, headers={"Location": "/again?x=1"})
        site.answer(302, headers={"Location": f"{other.url}/file?sig=r3direct"})
        assert get(f"{secretly(site.url, '/a')}", body) == b"content"
        assert ["Authorization" in r.headers for r in site.requests] == [True, True]
        [request] = other.requests
        assert request.path == "/file?sig=r3direct"
        assert "Authorization" not in request.headers
        assert "t0ken" not in f"{request.headers}"


def test_cookies_of_redirects(site: Site) -> None:
    """Some sites redirect to themselves until they get their cookie back."""
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
def test_a_renewed_signature_fetches_nothing_again(
    site: Site, folder: Path, first: str, then: str, again: bool
) -> None:
    serve(site, month())
    site.cut(after=100_000)
    with failing(TransientSourceError):
        fetch_month(JANUARY, site.url + first, folder)
    fetch_month(JANUARY, site.url + then, folder)
    assert statuses(site)[-1] == (200 if again else 206)
    fetch_month(JANUARY, site.url + first, folder)
    assert statuses(site)[-1] == (200 if again else 304)
    assert kept(folder)[f"yellow/{NAME}"] == month()


def test_login_without_a_host_that_answers(folder: Path) -> None:
    with failing(TransientSourceError, "http://127.0.0.1:9/x") as _:
        get("http://us3r:s3cr3t@127.0.0.1:9/x?t0ken", body)


# --- certificates ---


def secure(port: int, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{port}/file?sig=t0ken"


@pytest.fixture
def offered(site: Site) -> Site:
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
def test_a_certificate_that_cannot_be_trusted_is_final(
    offered: Site,
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
        tls(offered, certificate) as port,
        failing(SourceRefusedError, "certificate of 127.0.0.1", reason, "SSL_CERT_FILE"),
    ):
        get(secure(port), body)


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
def test_own_certificate_authorities(
    offered: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: bool
) -> None:
    monkeypatch.delenv("SSL_CERT_DIR")  # of the fixture
    place = certificate = write_certificate(tmp_path)
    if folder:
        place = tmp_path / "certificates"
        place.mkdir()
        command = ["openssl", "x509", "-noout", "-hash", "-in", str(certificate)]
        name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        (place / f"{name}.0").symlink_to(certificate)
    monkeypatch.setenv(variable, str(place))
    with tls(offered, certificate) as port:
        assert get(secure(port), body) == b"content"


def test_ssl_cert_file_comes_before_the_others(
    offered: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
    with tls(offered, certificate) as port:
        assert get(secure(port), body) == b"content"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("harm", ["missing", "empty", "DER"])
def test_certificate_authorities_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, harm: str
) -> None:
    place = tmp_path / "ca.pem"
    if harm != "missing":
        place.write_bytes(b"" if harm == "empty" else bytes(range(256)))
    monkeypatch.setenv(variable, str(place))
    with failing(InvalidInputError, f"{variable}={str(place)!r}", "PEM"):
        get("https://127.0.0.1:9/file", body)


def test_unused_certificate_authorities_are_not_read(
    offered: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    assert get(f"{offered.url}/file", body) == b"content"


def test_tls_to_a_server_that_has_none(offered: Site) -> None:
    port = int(offered.url.rpartition(":")[2])
    with failing(SourceRefusedError, "no TLS connection to 127.0.0.1", "NYC_TAXI_SOURCE_URL"):
        get(secure(port), body)


def test_tls_connection_that_breaks_is_transient(tmp_path: Path) -> None:
    with listening(lambda connection: None) as port, failing(TransientSourceError, "127.0.0.1"):
        get(secure(port), body)


# --- proxies ---

FAR = "http://data.example/file?sig=t0ken"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("form", ["http://us3r:s3cr3t@{}", "http://us3r:s3cr3t@{}/", "{}"])
def test_http_through_a_proxy(
    offered: Site, monkeypatch: pytest.MonkeyPatch, variable: str, form: str
) -> None:
    if variable == "HTTP_PROXY":
        monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.setenv(variable, form.format(offered.url.removeprefix("http://")))
    assert get(FAR, body) == b"content"
    [request] = offered.requests
    assert request.path == FAR
    if "us3r" in form:
        login = str(request.headers["Proxy-Authorization"]).split()[1]
        assert base64.b64decode(login) == b"us3r:s3cr3t"


def test_https_through_a_proxy(
    offered: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path, "data.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls(offered, certificate) as port:
        proxy = TestProxy(port)
        with listening(proxy.http) as own:
            monkeypatch.setenv("HTTPS_PROXY", f"http://us3r:s3cr3t@127.0.0.1:{own}")
            assert get("https://data.example/file?sig=t0ken", body) == b"content"
    [asked] = proxy.asked
    assert asked.startswith(b"CONNECT data.example:443 ")
    assert base64.b64encode(b"us3r:s3cr3t") in asked


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_socks_proxy(offered: Site, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    proxy = TestProxy(int(offered.url.rpartition(":")[2]))
    with listening(proxy.socks) as own:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{own}")
        assert get(FAR, body) == b"content"
    assert b"data.example" in proxy.asked[0]


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
def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, refusal: str) -> None:
    scheme, answer, kind, word = REFUSALS[refusal]
    proxy = TestProxy(9, answer)
    socks = scheme == "socks5"
    with listening(proxy.socks if socks else proxy.http) as own:
        name = "ALL_PROXY" if socks else f"{scheme.upper()}_PROXY"
        login = "" if socks else "us3r:s3cr3t@"
        monkeypatch.setenv(name, f"{scheme if socks else 'http'}://{login}127.0.0.1:{own}")
        with failing(kind, f"127.0.0.1:{own}", name, word) as _, silent():
            get(f"{'http' if scheme == 'http' else 'https'}://data.example/file?t0ken", body)


def test_a_socks_proxy_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(lambda connection: time.sleep(30)) as own:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{own}")
        with failing(TransientSourceError, f"127.0.0.1:{own}", "timed out"):
            get(FAR, body, timeout=0.5)


class silent:
    """What the block raises tells no secret."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        said = " ".join(told(problem))
        assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize("url", ["http://data.example/file", "https://data.example/file"])
def test_a_proxy_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    name = f"{url.partition(':')[0].upper()}_PROXY"
    monkeypatch.setenv(name, "http://us3r:s3cr3t@127.0.0.1:9")
    with failing(TransientSourceError, "through the proxy http://127.0.0.1:9", name), silent():
        get(url, body)


def test_a_proxy_that_has_no_tls(offered: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HTTPS_PROXY=https://... is often written for one."""
    monkeypatch.setenv("HTTPS_PROXY", offered.url.replace("http:", "https:"))
    with failing(SourceRefusedError, "through the proxy https://127.0.0.1", "check HTTPS_PROXY"):
        get("https://data.example/file", body)


@pytest.mark.parametrize(
    "value", ["socks4://127.0.0.1:9", "ftp://h:9", "http://us3r:s3cr3t@:x", "http://h:port", "://"]
)
def test_what_is_not_a_proxy(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with failing(InvalidInputError, "ALL_PROXY", "socks5://HOST:PORT"), silent():
        get(FAR, body)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_own_machine_is_never_asked_through_a_proxy(
    offered: Site, monkeypatch: pytest.MonkeyPatch, host: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert get(f"{offered.url.replace('127.0.0.1', host)}/file", body) == b"content"


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
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, rules: str, url: str, direct: bool) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", rules)
    assert (proxy_for(httpx.URL(url)) is None) is direct


# --- a run that is stopped ---


def stalling(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(30)


def dripping(connection: socket.socket) -> None:
    connection.recv(65536)
    head = f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {len(month())}\r\n\r\n'
    connection.sendall(head.encode() + month()[:100_000])
    for n in range(1000):
        connection.sendall(month()[100_000 + n : 100_001 + n])
        time.sleep(0.05)


def old_style(connection: socket.socket) -> None:
    """No length: when the connection ends, the file is whole."""
    connection.recv(65536)
    connection.sendall(b'HTTP/1.0 200 OK\r\nETag: "1"\r\n\r\n' + month()[:100_000])
    time.sleep(30)


def mute(connection: socket.socket) -> None:
    """Not even the handshake of TLS."""
    time.sleep(30)


SLOW = {"stall": stalling, "drip": dripping, "old style": old_style, "TLS": mute}


@pytest.mark.parametrize("server", SLOW)
@pytest.mark.parametrize("by", ["stop", "signal"])
def test_a_stopped_download_ends_at_once(folder: Path, server: str, by: str) -> None:
    with listening(SLOW[server]) as port, stoppable() as stop:
        scheme = "https" if server == "TLS" else "http"
        source = f"{scheme}://127.0.0.1:{port}/{{color}}.csv"
        if server != "old style":
            source = source.replace(".csv", ".parquet")
        interrupt = stop.set if by == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(1, interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Stopped if by == "stop" else KeyboardInterrupt):
            fetch_month(JANUARY, source, folder, timeout=25)
        timer.join()
        assert time.monotonic() - began < 3
    part = BROKEN_OFF if server == "drip" else []
    if server == "old style":
        part = [name.replace(".parquet", ".csv") for name in BROKEN_OFF]
    assert names(folder) == part
    assert all(len(kept(folder)[name]) >= 100_000 for name in part[:1])


@pytest.mark.parametrize("by", ["stop", "signal"])
def test_a_stop_does_not_wait_for_a_connection(by: str) -> None:
    """A server that accepts nothing more, as one behind a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, stoppable() as stop:
        url = "http://{}:{}".format(*server.getsockname())
        waiting = [socket.create_connection(server.getsockname())]
        for _ in range(3):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(server.getsockname())
        interrupt = stop.set if by == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.5, interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Stopped if by == "stop" else KeyboardInterrupt):
            get(url, body, timeout=5)
        timer.join()
        assert time.monotonic() - began < 4
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("by", ["stop", "signal"])
def test_a_stop_ends_the_wait_of_retry_after(site: Site, by: str) -> None:
    site.answer(429, headers={"Retry-After": "20"})
    with stoppable() as stop:
        interrupt = stop.set if by == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.5, interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Stopped if by == "stop" else KeyboardInterrupt):
            get(f"{site.url}/file", body)
        timer.join()
    assert time.monotonic() - began < 3
    assert statuses(site) == [429]


def test_a_stopped_download_goes_on_where_it_was(site: Site, folder: Path) -> None:
    serve(site, month())
    site.stall(after=100_000)
    with stoppable() as stop:
        threading.Timer(1, stop.set).start()
        with pytest.raises(Stopped):
            fetch_month(JANUARY, site.url, folder)
    assert names(folder) == BROKEN_OFF
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month()
    assert statuses(site) == [200, 206]


def test_certificates_of_the_project_are_checked_by_default() -> None:
    """certifi's, for TLS without any variable."""
    context = create_tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) > 50


def test_not_found_is_not_published(site: Site) -> None:
    with pytest.raises(NotPublishedError, match="answers 403"):
        get(f"{site.url}/file", body)
