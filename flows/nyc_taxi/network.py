"""Proxies and certificate authorities for HTTP requests, from the environment."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import httpx

from nyc_taxi.errors import InvalidInputError, SourceError, SourceRefusedError, TransientSourceError
from nyc_taxi.urls import safe_url

_CA_ADVICE = "set it to a PEM file of CA certificates, or unset it"


@dataclass(frozen=True)
class Proxy:
    """An HTTP or SOCKS proxy."""

    variable: str
    """The environment variable that set it, such as HTTPS_PROXY."""
    url: str
    """May contain credentials; str(proxy) omits them."""

    def __str__(self) -> str:
        return f"{safe_url(self.url)} ({self.variable})"

    @property
    def scheme(self) -> str:
        return httpx.URL(self.url).scheme

    @property
    def host(self) -> str:
        return httpx.URL(self.url).host

    def for_httpx(self, tls: ssl.SSLContext) -> httpx.Proxy:
        return httpx.Proxy(self.url, ssl_context=tls if self.scheme == "https" else None)

    def error(self, target: str, reason: str) -> SourceError:
        """Return the error for a request that the proxy rejected: transient, or refused."""
        if reason.startswith("407") or "username" in reason.lower():
            return SourceRefusedError(
                f"the proxy {self} requires valid credentials ({reason}); "
                f"set {self.variable}=http://USER:PASSWORD@HOST:PORT"  # pragma: allowlist secret
            )
        if re.match(r"5\d\d|429|408", reason) or re.search(r"unreachable|refused|TTL", reason):
            return TransientSourceError(f"the proxy {self} cannot reach {target} ({reason}); rerun")
        return SourceRefusedError(
            f"the proxy {self} refuses to reach {target} ({reason}); check {self.variable}, or add "
            "the host to NO_PROXY"
        )


def proxy_for(url: httpx.URL) -> Proxy | None:
    """Return the proxy for a URL; None for a direct connection, as always to this machine."""
    proxies = getproxies()
    name = next((name for name in (url.scheme, "all") if proxies.get(name)), None)
    if name is None or _is_loopback(url.host) or _is_exempt(url, proxies.get("no", "")):
        return None
    return read_proxy(f"{name.upper()}_PROXY", proxies[name])


def read_proxy(variable: str, value: str) -> Proxy:
    """Parse the value of a proxy variable. Raises InvalidInputError if it is not a proxy."""
    scheme, _, address = value.strip().rpartition("://")
    scheme = scheme.lower() or "http"
    if scheme == "socks":  # as desktop environments write it
        scheme = "socks5"
    proxy = Proxy(variable, f"{scheme}://{address}")
    try:
        proxy.for_httpx(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        valid = bool(proxy.host)
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise InvalidInputError(
            f"{variable}={safe_url(proxy.url)!r} is not a proxy; write http://HOST:PORT, "
            "https://HOST:PORT or socks5://HOST:PORT, or unset it"
        )
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_exempt(url: httpx.URL, rules: str) -> bool:
    """Return whether NO_PROXY lists the host, its domain, its network, or `*`."""
    if proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host):  # and the system settings
        return True
    return any(_covers(rule, url) for rule in re.split(r"[,\s]+", rules))


def _covers(rule: str, url: httpx.URL) -> bool:
    try:
        if ipaddress.ip_address(url.host) in ipaddress.ip_network(rule.strip("[]"), strict=False):
            return True
    except ValueError:  # the rule is not a network, or the host is a name
        pass
    try:
        parts = urlsplit(f"//{rule}")
        host, port = (parts.hostname or "").lstrip("*."), parts.port
    except ValueError:
        return False
    if port not in (None, url.port or {"http": 80, "https": 443}.get(url.scheme)):
        return False
    return rule == "*" or (bool(host) and f".{url.host}".endswith(f".{host}"))


def create_tls_context() -> ssl.SSLContext:
    """Return a TLS context with the trusted CAs; http_client.py lists the variables.

    Raises InvalidInputError if a variable names an unusable file or folder.
    """
    given = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    fallbacks = (name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name))
    locations: dict[str, str] = {}
    for name in given or list(fallbacks)[:1]:
        path = os.environ[name]
        if name == "SSL_CERT_DIR" or Path(path).is_dir():
            if not all(Path(part).is_dir() for part in path.split(os.pathsep)):
                raise InvalidInputError(f"{name}={path!r} is not a folder; {_CA_ADVICE}")
            locations["capath"] = path
        else:
            _check_pem(name, path)
            locations["cafile"] = path
    locations = locations or {"cafile": certifi.where()}
    return ssl.create_default_context(**locations)  # type: ignore[arg-type]


def _check_pem(name: str, file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        reason = "it does not contain a certificate in PEM format"
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
    else:
        return
    raise InvalidInputError(f"{name}={file!r} cannot be used: {reason}; {_CA_ADVICE}")
