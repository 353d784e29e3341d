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
    r"|SQLNonTransientConnection|ServiceUnavailable|ServiceFailure|\(code: (429|5\d\d)"
    r"|SafeModeException|RetriableException"
    r"|StandbyException|Connection (to .* )?(refused|reset|timed out)"
    r"|SQLSTATE (08|57P0[1-3]|53300)"  # of the catalog: connections, start and end of a server
)
_ADVICE = {
    "getSubject is not supported": "Spark needs Java 17 or 21; set JAVA_HOME",
    "No native library found": "SQLite needs a temporary folder where libraries can be loaded; set "
    "JAVA_TOOL_OPTIONS=-Djava.io.tmpdir=FOLDER, or CATALOG_URI to jdbc:postgresql://...",
    "NotAuthorized|ForbiddenException": "set spark.sql.catalog.NAME.token or .credential",
    r"\(code: (3\d\d|404), type: null": "CATALOG_URI is not a REST catalog",
    "Unexpected character .'<'": "CATALOG_URI is not a REST catalog",
    "AccessControlException: Permission denied": "grant access (hdfs dfs -chown), or set "
    "HADOOP_USER_NAME",
    "KERBEROS|GSS initiate": "log in (kinit)",
    "QuotaExceeded": "raise the quota, or delete files",
    r"iceberg\.exceptions\.NotFound|Metadata file for version \d+ is missing": "restore the file, "
    "or DROP TABLE and load its months again (docs/cluster.md)",
}
"""What to do, by class name or message."""
_STAGE = re.compile(r"Job aborted due to stage failure: .*? executor [^()]*\): (?:[\w.$]+: )?")
"""What Spark writes before the message of a task."""


def causes(problem: BaseException) -> list[tuple[str, str]]:
    """Return class and message of the Java exception and its causes; of `problem` if it has none.

    Raises nothing: a lost JVM has no causes.
    """
    try:
        java = getattr(problem, "java_exception", None) or getattr(problem, "_origin", None)
        found = []
        while java is not None:
            name = java.getClass().getName()
            if name == "org.postgresql.util.PSQLException":
                name += f" SQLSTATE {java.getSQLState()}"
            found.append((name, java.getMessage() or ""))
            java = java.getCause()
    except Exception:  # the connection to the JVM
        found = []
    return found or [(type(problem).__name__, str(problem))]


def _text(chain: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name}: {text}" for name, text in chain)


def is_conflict(problem: Exception) -> bool:
    """Return whether the same write can succeed if it is repeated."""
    return bool(_CONFLICT.search(_text(causes(problem))))


@contextmanager
def translate_spark_errors(place: object) -> Iterator[None]:
    """Turn errors of Spark into StorageError; `place` is the catalog or table to name."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as problem:
        chain = causes(problem)
        kind = ConnectionLostError if _UNAVAILABLE.search(_text(chain)) else StorageError
        raise kind(f"{place}: {_summary(chain)}") from problem


def _summary(chain: list[tuple[str, str]]) -> str:
    """Return the first line of the exception's and of its last cause's message, and advice."""
    (first_name, first), (last_name, last) = chain[0], chain[-1]
    texts = dict.fromkeys(
        (text.strip().splitlines() or [name.rpartition(".")[2]])[0].rstrip(".:")
        for name, text in ((first_name, first), (last_name, last))
    )
    said = re.sub(r"(jdbc:[^\s?]+)\?\S+", r"\1", ": ".join(texts))  # user and password
    said = _STAGE.sub("", said)
    whole = _text(chain)
    advice = [advice for cause, advice in _ADVICE.items() if re.search(cause, whole)]
    return "; ".join([said, *advice])
