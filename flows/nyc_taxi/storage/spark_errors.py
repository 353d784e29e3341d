"""Errors of Spark, Iceberg and its catalogs in one line, and which of them a retry passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nyc_taxi.errors import ConnectionLostError, StorageError

_CONFLICT = re.compile(
    r"CommitFailedException|CommitStateUnknownException|AlreadyExistsException|TABLE_OR_VIEW_ALREADY"
    r"|Found conflicting|Missing required files|has changed from|SQLITE_BUSY|database is locked"
    r"|SQLITE_CONSTRAINT_(PRIMARYKEY|UNIQUE)|duplicate key value"
    r"|dropped by another process|FIELD_ALREADY_EXISTS|FIELDS_ALREADY_EXISTS"
    r"|Table UUID does not match|deadlock detected|could not serialize"
)
"""Class names and messages of a commit that another one overtook, or that may have landed."""
_UNAVAILABLE = re.compile(
    r"ConnectException|ConnectTimeout|SocketTimeout|UnknownHost|NoRouteToHost|SQLTransient"
    r"|SQLNonTransientConnection|ServiceUnavailable|ServiceFailure|SafeModeException|RetriableException"
    r"|StandbyException|Connection (to .* )?(refused|reset|timed out)|terminating connection"
)


def causes(problem: BaseException) -> list[tuple[str, str]]:
    """Return class and message of the Java exception and its causes; of `problem` if it has none.

    Raises nothing: a lost JVM has no causes.
    """
    try:
        java = getattr(problem, "java_exception", None) or getattr(problem, "_origin", None)
        found = []
        while java is not None:
            found.append((java.getClass().getName(), java.getMessage() or ""))
            java = java.getCause()
    except Exception:  # the connection to the JVM
        found = []
    return found or [(type(problem).__name__, str(problem))]


def is_conflict(problem: Exception) -> bool:
    """Return whether the same write can succeed if it is repeated."""
    return any(_CONFLICT.search(f"{name}: {text}") for name, text in causes(problem))


@contextmanager
def translate_spark_errors(place: object) -> Iterator[None]:
    """Turn errors of Spark into StorageError; `place` is the catalog or table to name."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as problem:
        chain = causes(problem)
        kind = StorageError
        if any(_UNAVAILABLE.search(f"{name}: {text}") for name, text in chain):
            kind = ConnectionLostError
        raise kind(f"{place}: {_summary(chain)}") from problem


def _summary(chain: list[tuple[str, str]]) -> str:
    """Return the first line of the exception's and of its last cause's message."""
    (first_name, first), (last_name, last) = chain[0], chain[-1]
    texts = dict.fromkeys(
        (text.strip().splitlines() or [name.rpartition(".")[2]])[0].rstrip(".:")
        for name, text in ((first_name, first), (last_name, last))
    )
    return re.sub(r"(jdbc:[^\s?]+)\?\S+", r"\1", ": ".join(texts))  # user and password
