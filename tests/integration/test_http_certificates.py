"""TLS certificates: trusted authorities, and servers that are refused."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from nyc_taxi.errors import InvalidInputError, SourceRefusedError, TransientSourceError
from nyc_taxi.network import create_tls_context
from nyc_taxi.sources.http_client import get
from synthetic_tlc import Site
from tests.support.downloads import fails_with
from tests.support.http_requests import body
from tests.support.http_servers import run_server, run_tls_server, write_certificate


def https_url(port: int, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{port}/file?sig=t0ken"


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


def test_certifi_authorities_are_used_by_default() -> None:
    context = create_tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) > 50
