"""Errors of Google's APIs: transient ones are retried, the others have their own message."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import from_http_status
from google.auth.exceptions import RefreshError, TransportError
from google.cloud import bigquery
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket

from nyc_taxi.conform.plan import conform
from nyc_taxi.errors import StorageError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.settings import settings
from nyc_taxi.storage import google as gcp
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.bigquery.jobs import CALL_OPTIONS, JOB_OPTIONS
from nyc_taxi.warehouses.registry import open_warehouse
from tests.support.fixed_responses import google_error_server
from tests.support.month_loads import FILL

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)


@pytest.fixture
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Google's clients retry for 1 second instead of 30."""
    for target in ("lakes.gcs.STORAGE_RETRY", "warehouses.bigquery.warehouse.BIGQUERY_RETRY"):
        retry = gcp.STORAGE_RETRY.with_timeout(1).with_delay(0.1, 0.1)
        monkeypatch.setattr(f"nyc_taxi.{target}", retry)
    for options in (CALL_OPTIONS, JOB_OPTIONS):
        short = options["retry"].with_timeout(1).with_delay(0.1, 0.1)
        monkeypatch.setitem(options, "retry", short)
        monkeypatch.setitem(options, "timeout", 5)


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("status", "reason", "retryable", "says"),
    [
        (500, "internalError", True, "failed temporarily"),
        (502, "badGateway", True, "failed temporarily"),
        (503, "backendError", True, "failed temporarily"),
        (504, "backendError", True, "failed temporarily"),
        (429, "rateLimitExceeded", True, "failed temporarily"),
        (408, "timeout", True, "failed temporarily"),
        (403, "rateLimitExceeded", True, "failed temporarily"),
        (403, "userRateLimitExceeded", True, "failed temporarily"),
        (400, "jobRateLimitExceeded", True, "failed temporarily"),
        (403, "quotaExceeded", False, "quota of the project is exceeded"),
        (403, "accessDenied", False, "lacks permissions"),
        (403, "billingNotEnabled", False, "sorry"),
        (400, "invalid", False, "sorry"),
    ],
)
@pytest.mark.parametrize("store", ["lake", "warehouse"])
def test_error_response_is_translated(
    store: str,
    status: int,
    reason: str,
    retryable: bool,
    says: str,
    bigquery_block: str,
    gcs_block: Callable[[], str],
    short_retries: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = gcs_block()
    with google_error_server(
        status, reason, "sorry, see https://x.y/upload?token=s3cr3t&id=1"
    ) as url:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        with pytest.raises(StorageError) as problem:
            if store == "lake":
                open_lake(f"gcs:{bucket}").uri("key")
            else:
                open_warehouse(f"bigquery:{bigquery_block}").count(YELLOW)
    message = str(problem.value)
    assert (problem.value.retryable, says in message) == (retryable, True), message
    assert "\n" not in message and "s3cr3t" not in message
    assert ("permissions" in message) == (reason == "accessDenied")


@pytest.mark.parametrize(
    ("problem", "retryable"),
    [
        (requests.ConnectionError("Connection reset by peer"), True),
        (requests.Timeout("read timed out"), True),
        (ConnectionResetError(104, "Connection reset by peer"), True),
        (TransportError("no answer"), True),
        (RefreshError("internal failure", retryable=True), True),
        (RefreshError("invalid_grant"), False),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), False),
        (from_http_status(400, "no", errors=[{"reason": "jobBackendError"}]), True),
        (from_http_status(400, "no", errors=[{"reason": "resourcesExceeded"}]), False),
    ],
)
def test_is_transient_matches_the_translated_error(problem: Exception, retryable: bool) -> None:
    assert gcp.is_transient(problem) == retryable
    with pytest.raises(StorageError) as translated, gcp.translate_google_errors("store", "roles"):
        raise problem
    assert translated.value.retryable == retryable


@pytest.fixture
def months(month_file: Callable[..., Path], tmp_path: Path) -> dict[TripMonth, Path]:
    return {
        trips: conform(trips, month_file(trips, 2000)).write(tmp_path / trips.stem, "etag").path
        for trips in (YELLOW, FEBRUARY)
    }


@pytest.mark.slow
def test_concurrent_first_loads_record_one_row_per_month(
    bigquery_block: str, months: dict[TripMonth, Path]
) -> None:
    """The table `loads` is what makes concurrent loads of one month conflict."""
    writers = [YELLOW, YELLOW, FEBRUARY, YELLOW]
    with ThreadPoolExecutor(len(writers)) as pool:
        loads = [
            pool.submit(
                open_warehouse(f"bigquery:{bigquery_block}").replace_month, trips, months[trips], {}
            )
            for trips in writers
        ]
    assert [load.result() for load in loads] == [2000] * 4
    rows = bigquery.Client(project=bigquery_block).query_and_wait(
        "SELECT count(*), sum(row_count) FROM dezoomcamp.loads GROUP BY trip_month"
    )
    assert [row.values() for row in rows] == [(1, 2000)] * 2


@contextmanager
def failing_jobs(behind: str, times: int, reason: str) -> Iterator[tuple[str, list[str]]]:
    """Proxy to the server `behind` that fails the first jobs that replace a month."""
    made: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent = json.loads(body) if b"jobReference" in body[:20_000] and body[:1] == b"{" else {}
            job = sent.get("jobReference", {}).get("jobId", "")
            if self.command == "POST" and job.startswith("replace-"):
                made.append(job)
                if len(made) <= times:
                    error = {"reason": reason, "message": "temporary"}
                    status = {"state": "DONE", "errorResult": error, "errors": [error]}
                    return self.answer(200, json.dumps({**sent, "status": status}).encode())
            headers = {k: v for k, v in self.headers.items() if k.lower() in ("content-type",)}
            got = requests.request(self.command, behind + self.path, data=body, headers=headers)
            return self.answer(got.status_code, got.content)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", made
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["backendError", "rateLimitExceeded", "quotaExceeded"])
def test_load_retries_a_job_that_failed_temporarily(
    reason: str,
    bigquery_block: str,
    bigquery_server: Any,
    months: dict[TripMonth, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each attempt has a new job id, because a failed job keeps its id."""
    with failing_jobs(bigquery_server.url, 2, reason) as (url, made):
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
        warehouse = open_warehouse(f"bigquery:{bigquery_block}")
        if reason == "quotaExceeded":
            with pytest.raises(StorageError, match="a quota of the project is exceeded"):
                warehouse.replace_month(YELLOW, months[YELLOW], {})
            assert len(made) == 1
            [load] = warehouse.read_loads()
            assert (load.row_count, load.source_version) == (0, None)
        else:
            assert warehouse.replace_month(YELLOW, months[YELLOW], {}) == 2000
            assert [job[-2:] for job in made] == ["-0", "-1", "-2"]
            assert warehouse.count(YELLOW) == 2000


class TestErrors:
    def test_invalid_credentials_are_reported(
        self,
        google_project: str,
        service_account_key: dict[str, str],
        gcs_block: Callable[[], str],
        month_file: Callable[..., Path],
    ) -> None:
        with google_error_server(400, "invalid_grant", "Invalid JWT Signature.") as url:
            credentials = GcpCredentials(
                service_account_info={**service_account_key, "token_uri": f"{url}/token"}
            )
            credentials.save("wrong")
            GcsBucket(bucket=gcs_block(), gcp_credentials=credentials).save("wrong")
            says = r"rejected the credentials \(.*make_gcp_blocks\.py"
            with pytest.raises(StorageError, match=says):
                open_lake("gcs:wrong").put(month_file(YELLOW, 5000), YELLOW.key)
            with pytest.raises(StorageError, match=says):
                open_warehouse("bigquery:wrong").count(YELLOW)

    def test_missing_permissions_are_reported(
        self, google_project: str, month_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = month_file(YELLOW, 5000)
        with google_error_server(403, "accessDenied", "flows@x lacks bigquery.datasets.get") as url:
            monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
            says = r"lacks permissions \(flows@x lacks .*\); grant roles/"
            with pytest.raises(StorageError, match=says + "bigquery.user"):
                open_warehouse(f"bigquery:{google_project}").replace_month(YELLOW, file, FILL)
            with pytest.raises(StorageError, match=says + "storage.objectUser"):
                open_lake(settings().lake).put(file, YELLOW.key)
