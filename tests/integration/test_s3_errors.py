"""S3 stores that refuse, fail, or never respond: one line with its fix."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path

import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.errors import ConnectionLostError, StorageError
from nyc_taxi.trips.months import TripMonth
from tests.support.fixed_responses import answering, s3_error
from tests.support.http_servers import run_server, write_certificate
from tests.support.s3_lakes import SECRET, lake_at

YELLOW = TripMonth("yellow", 2021, 1)


class TestErrors:
    @pytest.mark.few(4)
    @pytest.mark.parametrize(
        ("status", "code", "retryable", "says"),
        [
            (503, "SlowDown", True, "not available"),
            (500, "InternalError", True, "not available"),
            (400, "RequestTimeout", True, "not available"),
            (429, "TooManyRequests", True, "not available"),
            (409, "OperationAborted", True, "not available"),
            (400, "XAmzContentSHA256Mismatch", True, "not available"),
            (404, "NoSuchBucket", False, "s3://trips does not exist; create it (aws s3 mb s3://t"),
            (400, "ExpiredToken", False, "the session has expired (ExpiredToken: sorry)"),
            (403, "InvalidAccessKeyId", False, "the credentials are not accepted"),
            (403, "SignatureDoesNotMatch", False, "the credentials are not accepted"),
            (401, "Unauthorized", False, "the credentials are not accepted"),
            (403, "AccessDenied", False, "lack rights (AccessDenied: sorry); grant them s3:List"),
            (403, "RequestTimeTooSkewed", False, "the clock of this machine"),
            (400, "AuthorizationHeaderMalformed", False, "another region"),
            (301, "PermanentRedirect", False, "another region"),
            (403, "SecondLevelDomainForbidden", False, "NYC_TAXI_S3_ADDRESSING=virtual"),
            (507, "XMinioStorageFull", False, "the store is full"),
            (404, "NoSuchKey", False, "not from an S3 API"),
            (501, "NotImplemented", False, "NotImplemented: sorry"),
        ],
    )
    def test_error_code_has_its_fix(
        self, status: int, code: str, retryable: bool, says: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"trips")
        """The response to HEAD is the bare status; the reason comes with another request."""
        with answering(status, s3_error(code)) as url:
            lake = lake_at(url)
            for ask in (lake.check, lambda: lake.put(file, YELLOW.key)):
                with pytest.raises(StorageError) as problem:
                    ask()
                said = str(problem.value)
                assert (problem.value.retryable, says in said) == (retryable, True), said
                assert "\n" not in said and SECRET not in said and "AKIAEXAMPLE" not in said

    def test_web_console_is_not_the_api(self) -> None:
        page = b"<!doctype html><html><head><title>Console</title><body><br></body></html>"
        says = r"not from an S3 API.*AWS_ENDPOINT_URL_S3"
        with (
            answering(200, page, kind="text/html") as url,
            pytest.raises(StorageError, match=says),
        ):
            lake_at(url).check()

    def test_line_break_in_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """http.client quotes the whole header, with the key and the signature."""
        with answering(200, b"") as url:
            lake = lake_at(url)
            lake.client._request_signer._credentials.access_key += "\n"
            with pytest.raises(StorageError, match="a key contains a line break") as problem:
                lake.check()
        assert "AKIAEXAMPLE" not in str(problem.value)

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_private_certificate(
        self, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        certificate = write_certificate(tmp_path)
        with answering(404, s3_error("NoSuchBucket"), certificate) as url:
            with pytest.raises(StorageError, match=r"not trusted.*AWS_CA_BUNDLE") as problem:
                lake_at(url).check()
            assert not problem.value.retryable
            monkeypatch.setenv(variable, str(certificate))
            with pytest.raises(StorageError, match="does not exist"):
                lake_at(url).check()

    def test_tls_at_a_plain_port(self) -> None:
        says = "does not speak TLS; write http://"
        with answering(200, b"") as url, pytest.raises(StorageError, match=says):
            lake_at(url.replace("http", "https")).check()

    @pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
    def test_unreachable_endpoint(self, host: str) -> None:
        with pytest.raises(ConnectionLostError, match=r"not available \(Could not connect.*rerun"):
            lake_at(f"http://{host}").check()

    def test_connection_cut_during_an_upload(self, big_file: Path) -> None:
        def cut(connection: socket.socket) -> None:
            connection.recv(65536)

        with run_server(cut) as port, pytest.raises(ConnectionLostError, match="rerun"):
            lake_at(f"http://127.0.0.1:{port}").put(big_file, YELLOW.key)


class TestSilentServer:
    """A server that accepts connections and never responds."""

    @pytest.fixture
    def url(self) -> Iterator[str]:
        held = threading.Event()

        def wait(connection: socket.socket) -> None:
            held.wait(60)

        with run_server(wait) as port:
            yield f"http://127.0.0.1:{port}"
            held.set()

    def test_request_times_out(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NYC_TAXI_TIMEOUT", "0.3")
        began = time.monotonic()
        with pytest.raises(ConnectionLostError, match="Read timeout"):
            lake_at(url).check()
        assert time.monotonic() - began < 20

    def test_stop_does_not_wait_for_it(self, url: str) -> None:
        lake = lake_at(url)
        with stoppable() as stop, ThreadPoolExecutor(1) as pool:
            run = pool.submit(partial(copy_context().run, lake.check))
            time.sleep(0.3)
            stop.set()
            began = time.monotonic()
            assert isinstance(run.exception(), Stopped)
            assert time.monotonic() - began < 5
