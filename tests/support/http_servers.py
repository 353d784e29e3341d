"""Servers for tests: TLS with self-signed certificates, and proxies."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from synthetic_tlc import Site


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def write_certificate(folder: Path, host: str = "127.0.0.1", days: int = 2) -> Path:
    """Write a self-signed certificate with its key (PEM); negative `days` make it expired."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    now = datetime.now(UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(_key(), hashes.SHA256())
    )
    path = folder / f"{host}{days}.pem"
    key = _key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + key)
    return path


@contextmanager
def run_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server that handles each connection in a thread; yield its port."""
    server = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve_one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connections.append(connection)
                thread = threading.Thread(target=serve_one, args=(connection,), daemon=True)
                thread.start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def relay(left: socket.socket, right: socket.socket) -> None:
    """Forward data in both directions until both connections are closed."""
    back = threading.Thread(target=_copy, args=(right, left), daemon=True)
    back.start()
    _copy(left, right)
    back.join()


@contextmanager
def run_tls_server(site: Site, certificate: Path) -> Iterator[int]:
    """Run a server that offers the site over TLS; yield its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    site_port = int(site.url.rpartition(":")[2])

    def serve(connection: socket.socket) -> None:
        with (
            context.wrap_socket(connection, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", site_port)) as plain,
        ):
            # One request, then one reply: TLS sockets cannot be read and written in parallel.
            plain.sendall(secure.recv(65536))
            while data := plain.recv(65536):
                secure.sendall(data)

    with run_server(serve) as port:
        yield port


@dataclass
class TestProxy:
    """A proxy that connects every host to one port of this machine."""

    __test__ = False
    target: int
    answer: bytes = b""
    """Sent instead of connecting to the target."""
    requests: list[bytes] = field(default_factory=list)

    def http(self, connection: socket.socket) -> None:
        head = connection.recv(65536)
        self.requests.append(head)
        if self.answer:
            connection.sendall(self.answer)
            return
        with socket.create_connection(("127.0.0.1", self.target)) as target:
            if head.startswith(b"CONNECT"):
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                target.sendall(head)
            relay(connection, target)

    def socks(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x05\x00")
        self.requests.append(connection.recv(65536))
        if self.answer:
            connection.sendall(self.answer)
            return
        with socket.create_connection(("127.0.0.1", self.target)) as target:
            connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            relay(connection, target)
