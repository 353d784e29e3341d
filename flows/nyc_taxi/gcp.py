"""What the lake on GCS and the warehouse in BigQuery share: blocks, patience, plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    RetryError,
    ServerError,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery, storage
from prefect.blocks.core import Block

from nyc_taxi.errors import BadInput, StoreError

PATIENCE = 30
"""Seconds for which a call that gets no answer is made again; Google's clients take minutes."""
CONNECT = 10
"""Seconds to wait for a connection."""
MAKE_BLOCKS = "python blocks/make_gcp_blocks.py"

OUTRUN = ("concurrent update", "Failed to commit DuckLake transaction")
"""What BigQuery, and its emulator, say of a change that another one was faster than."""


def outrun(problem: Exception) -> bool:
    return any(phrase in str(problem) for phrase in OUTRUN)


STORAGE_RETRY: Retry = storage.retry.DEFAULT_RETRY.with_timeout(PATIENCE)
BIGQUERY_RETRY: Retry = bigquery.DEFAULT_RETRY.with_timeout(PATIENCE)
"""For jobs: one that failed stays failed, however often it is asked."""
CHANGE_RETRY: Retry = BIGQUERY_RETRY.with_predicate(
    lambda problem: bigquery.retry._should_retry(problem) or outrun(problem)
)
"""For what is done at once, such as making a table."""

B = TypeVar("B", bound=Block)


def load_block(kind: type[B], name: str) -> B:
    """The saved block of this name. Raises BadInput when there is none that can be used."""
    try:
        return cast(B, kind.load(name))
    except (ValueError, GoogleAuthError) as problem:
        missing = "Unable to find block document" in str(problem)
        reason = "is not there" if missing else f"cannot be used: {one_line(problem)}"
        raise BadInput(
            f"the block {kind.get_block_type_slug()}/{name} {reason}; set the NYC_TAXI_G* lines "
            f"of .env and run: {MAKE_BLOCKS}"
        ) from problem


@contextmanager
def talking_to(place: str, roles: str) -> Iterator[None]:
    """Turn what Google's clients raise into one line; `roles` are those that `place` asks for."""
    try:
        yield
    except TransportError as problem:
        raise _unreachable(place, problem) from problem
    except (GoogleAuthError, Unauthorized) as problem:
        raise StoreError(
            f"{place}: Google does not accept the credentials ({one_line(problem)}); put a valid "
            f"key into NYC_TAXI_GCP_CREDENTIALS and run: {MAKE_BLOCKS}"
        ) from problem
    except Forbidden as problem:
        raise StoreError(
            f"{place}: the service account lacks rights ({one_line(problem)}); grant it {roles}"
        ) from problem
    except (RetryError, ServerError, ConnectionError, requests.RequestException) as problem:
        raise _unreachable(place, problem) from problem
    except GoogleAPICallError as problem:
        raise StoreError(f"{place}: {one_line(problem)}") from problem


def _unreachable(place: str, problem: Exception) -> StoreError:
    cause = one_line(getattr(problem, "cause", None) or problem)
    system = re.search(r"\[Errno -?\d+\] ([\w ]+)", str(problem.__cause__ or problem))
    return StoreError(
        f"{place} gave no answer ({system[1] if system else cause}); what it holds is unchanged: "
        "look at the network (with emulators: make emulators) and run this again"
    )


def one_line(problem: BaseException) -> str:
    """What Google says of an error, without the request that led to it."""
    text = problem.message if isinstance(problem, GoogleAPICallError) else str(problem)
    text = text.partition("\n")[0].partition("; reason: ")[0]
    if text.startswith(("GET http", "POST http", "PUT http", "DELETE http", "PATCH http")):
        text = text.partition(": ")[2] or text
    return text[:300] or type(problem).__name__
