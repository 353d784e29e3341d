"""HTTP and SOCKS proxies: which requests use them, and how their errors name them."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import httpx
import pytest

from nyc_taxi.errors import (
    InvalidInputError,
    NycTaxiError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.network import proxy_for
from nyc_taxi.sources.http_client import get
from synthetic_tlc import Site
from tests.support.downloads import fails_with
from tests.support.http_requests import body, no_secrets
from tests.support.http_servers import TestProxy, run_server, run_tls_server, write_certificate

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
