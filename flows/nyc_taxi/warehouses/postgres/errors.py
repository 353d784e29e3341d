"""One-line errors from the messages of libpq, the server and PgBouncer."""

from __future__ import annotations

import re

from nyc_taxi.errors import ConnectionLostError, LockTimeoutError, StorageError
from nyc_taxi.settings import settings

_TRANSIENT = re.compile(
    r"connection refused|connection reset|closed the connection|connection timed out|"
    r"timeout expired|no such file or directory|network is unreachable|no route to host|"
    r"temporary failure in name resolution|ssl syscall error|ssl connection has been closed|"
    r"starting up|shutting down|recovery mode|accepting connections|terminating connection|"
    r"too many (clients|connections)|connection slots are reserved|"
    r"no more connections allowed|query_wait_timeout|server login has been failing",
    re.IGNORECASE,
)
"""Messages of transient connection failures (libpq, server, PgBouncer; they have no SQLSTATE):
a restart, a failover, too many connections, a network that is down."""
_NO_CERTIFICATE = re.compile(r"certificate|private key", re.IGNORECASE)


def connection_error(place: str, configured_by: str, message: str) -> StorageError:
    """Map a failed connection to an error; `place` and `configured_by` are named in it."""
    reason = message.rpartition("failed: ")[2].removeprefix("FATAL: ").strip()
    transient = _TRANSIENT.search(reason) and not _NO_CERTIFICATE.search(reason)
    return (ConnectionLostError if transient else StorageError)(
        f"cannot connect to PostgreSQL at {place}: {reason}; check {configured_by}, "
        "or start a local one with `make postgres`"
    )


def statement_error(
    place: str, message: str, code: str, *, lost: bool, ending: bool
) -> StorageError:
    """Map a failed statement to an error, by its SQLSTATE.

    `lost`: the connection is closed. `ending`: it failed during the commit.
    """
    outcome = (
        "this was during the commit, so the data may or may not be loaded (a rerun is safe)"
        if ending
        else "nothing was changed"
    )
    if lost or code.startswith("08") or code in ("57P01", "57P02", "57P03", "57P05"):
        return ConnectionLostError(
            f"the connection to PostgreSQL at {place} was lost ({message}); {outcome}; "
            "rerun once the server is back"
        )
    if code in ("40P01", "40001"):  # deadlock, serialization failure
        return LockTimeoutError(
            f"PostgreSQL at {place} canceled the transaction because it conflicts with "
            f"another session ({message}); nothing was changed; rerun"
        )
    if code == "55P03":  # lock timeout
        return LockTimeoutError(
            f"PostgreSQL at {place}: other sessions have locked the table for "
            f"{settings().wait:.0f} s ({message}); close their transactions and rerun"
        )
    if code == "53100":
        return StorageError(
            f"PostgreSQL at {place} is out of disk space ({message}); nothing was changed; "
            "free some space there and rerun"
        )
    advice = {
        "22P05": "; load into a database with the encoding UTF8",
        "25006": "; connect to a writable server, with a role that may write",
        "57014": "; rerun",
    }.get(code, "")
    return StorageError(f"PostgreSQL at {place}: {message}; nothing was changed{advice}")


def decisive_line(message: str) -> str:
    """Return the last failure: a host with several addresses gives one line for each."""
    failed = [line for line in message.splitlines() if " failed: " in line]
    return " ".join((failed[-1] if failed else message.partition("\n")[0]).split())
