"""Shared code for GCS and BigQuery: blocks, retry policies, error messages."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    GoogleAPIError,
    RetryError,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery, storage
from google.cloud.storage.exceptions import DataCorruption

from nyc_taxi.cancellation import check_stopped
from nyc_taxi.errors import ConnectionLostError, StorageError
from nyc_taxi.storage.blocks import B, load_block

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RETRY_TIMEOUT = 30
"""Seconds to keep retrying a failed call; the default of Google's clients is minutes."""
CONNECT_TIMEOUT = 10
"""Seconds to wait for a connection."""
MAKE_BLOCKS = "python blocks/make_gcp_blocks.py"

CONCURRENT_UPDATE_MESSAGES = (
    "concurrent update",
    "Failed to commit DuckLake transaction",
    "cannot rollback - no transaction is active",
    "Conflict on update!",
    "violates primary key constraint",
)
"""Messages of BigQuery and its emulator for a conflict with another transaction."""


def is_concurrent_update(problem: Exception) -> bool:
    return any(phrase in str(problem) for phrase in CONCURRENT_UPDATE_MESSAGES)


_TRANSIENT_REASONS = {
    *("rateLimitExceeded", "userRateLimitExceeded", "jobRateLimitExceeded", "tableUnavailable"),
    *("backendError", "jobBackendError", "internalError", "jobInternalError", "badGateway"),
}
"""Errors that Google recommends retrying: https://cloud.google.com/bigquery/docs/error-messages"""
_TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
_MISSING_ROLE_REASONS = {
    "",
    "accessDenied",
    "forbidden",
    "insufficientPermissions",
    "required",
    "authError",
}
"""Reasons of an HTTP 403 that an additional role fixes, unlike a quota or missing billing."""


def reason(problem: BaseException) -> str:
    """Return Google's error reason, such as `rateLimitExceeded`; empty if there is none."""
    errors = getattr(problem, "errors", None)
    first = errors[0] if errors else None
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def is_transient(problem: BaseException) -> bool:
    """Return whether the same request may succeed in a few seconds."""
    if isinstance(problem, RetryError):
        return problem.cause is None or is_transient(problem.cause)
    if "CERTIFICATE_VERIFY_FAILED" in str(problem):
        return False
    if isinstance(problem, GoogleAPICallError):
        return reason(problem) in _TRANSIENT_REASONS or problem.code in _TRANSIENT_STATUSES
    if isinstance(problem, GoogleAuthError):
        return isinstance(problem, TransportError) or bool(getattr(problem, "retryable", False))
    known = storage.retry._should_retry(problem) or bigquery.retry._should_retry(problem)
    return known or isinstance(problem, (ConnectionError, requests.RequestException))


def _is_retryable(problem: Exception) -> bool:
    check_stopped()
    return is_transient(problem)


STORAGE_RETRY: Retry = storage.retry.DEFAULT_RETRY.with_timeout(RETRY_TIMEOUT).with_predicate(
    _is_retryable
)
BIGQUERY_RETRY: Retry = bigquery.DEFAULT_RETRY.with_timeout(RETRY_TIMEOUT).with_predicate(
    _is_retryable
)
CHANGE_RETRY: Retry = BIGQUERY_RETRY.with_predicate(
    lambda problem: _is_retryable(problem) or is_concurrent_update(problem)
)
"""Also retries conflicting updates; for idempotent calls such as creating a table."""


class InterruptibleFile(io.FileIO):
    """File whose reads and writes raise Stopped once the run is stopped."""

    def read(self, size: int | None = -1, /) -> bytes:
        check_stopped()
        return super().read(-1 if size is None else size) or b""

    def write(self, content: ReadableBuffer, /) -> int:
        check_stopped()
        return super().write(content)


def load_google_block(kind: type[B], name: str) -> B:
    """Return a saved block. Raises InvalidInputError if it does not exist or is invalid."""
    fix = f"set NYC_TAXI_GCS_* and NYC_TAXI_GCP_* in .env and run: {MAKE_BLOCKS}"
    return load_block(kind, name, fix, (ValueError, GoogleAuthError))


@contextmanager
def translate_google_errors(place: str, roles: str) -> Iterator[None]:
    """Turn errors of Google's clients into StorageError; `roles` are the roles `place` needs."""
    try:
        yield
    except (GoogleAuthError, GoogleAPIError, DataCorruption, OSError) as problem:
        raise _storage_error(place, roles, problem) from problem


def _storage_error(place: str, roles: str, problem: Exception) -> Exception:
    message = one_line(problem)
    if is_transient(problem) or isinstance(problem, (RetryError, DataCorruption)):
        return _connection_error(place, problem)
    if isinstance(problem, (GoogleAuthError, Unauthorized)):
        return StorageError(
            f"{place}: Google rejected the credentials ({message}); set "
            f"NYC_TAXI_GCP_CREDENTIALS to a valid key and run: {MAKE_BLOCKS}"
        )
    if reason(problem) in ("quotaExceeded", "dailyLimitExceeded"):
        return StorageError(
            f"{place}: a quota of the project is exceeded ({message}); nothing was changed; "
            "wait until it renews, or request an increase, then rerun"
        )
    if isinstance(problem, Forbidden) and reason(problem) in _MISSING_ROLE_REASONS:
        return StorageError(
            f"{place}: the service account lacks permissions ({message}); grant {roles}"
        )
    if isinstance(problem, requests.exceptions.SSLError):
        return StorageError(
            f"{place}: the server's certificate is not trusted ({message}); behind a proxy that "
            "signs its own certificates, set REQUESTS_CA_BUNDLE to its CA file"
        )
    if isinstance(problem, GoogleAPIError):
        return StorageError(f"{place}: {message}")
    return problem


def _connection_error(place: str, problem: Exception) -> StorageError:
    last = getattr(problem, "cause", None) or problem
    cause = one_line(last)
    system = re.search(r"\[Errno -?\d+\] ([\w ]+)", str(problem.__cause__ or problem))
    failed = "failed temporarily" if isinstance(last, GoogleAPICallError) else "did not respond"
    return ConnectionLostError(
        f"{place} {failed} ({system[1] if system else cause}); nothing was changed; "
        "check the network (or run `make emulators`, if you use them) and rerun"
    )


def one_line(problem: BaseException) -> str:
    """Return Google's error message in one line, without the request URL and its secrets."""
    text = problem.message if isinstance(problem, GoogleAPICallError) else str(problem)
    text = text.partition("\n")[0].partition("; reason: ")[0]
    if text.startswith(("GET http", "POST http", "PUT http", "DELETE http", "PATCH http")):
        text = text.partition(": ")[2] or text
    # The query of a signed URL or an upload URL grants access.
    text = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1", text)
    return text[:300] or type(problem).__name__
