"""Errors of this project.

    NycTaxiError
    ├── InvalidInputError           a color, month, address or setting is invalid
    ├── SourceError                 a month cannot be fetched
    │   ├── NotPublishedError           the source does not have it (yet)
    │   ├── SourceRefusedError          the source refuses access
    │   ├── TransientSourceError        throttled, cut off or timed out: retried
    │   └── CorruptFileError            the file is incomplete or in another format
    ├── SchemaMismatchError         the file lacks columns of its color
    ├── InvalidValueError           a value does not fit the type of its column
    ├── LocalWriteError             a file or folder on this machine cannot be used
    ├── StorageError                the lake or the warehouse refuses, or holds something unexpected
    │   ├── LockTimeoutError            another run holds the file or table: retried
    │   └── ConnectionLostError         its server closed the connection: retried
    ├── ServerError                 the Prefect server cannot be used
    └── PartialFailureError         some months of a run failed; the others are done

A message is one line: what is wrong, what is allowed, and the command that fixes it.
"""

INTERRUPTED = "Interrupted; completed work is kept. Rerun to resume."
"""Printed after SIGINT or SIGTERM."""


class NycTaxiError(Exception):
    """Base of every error that a user can fix; scripts print it as one line and exit with 1."""

    retryable = False
    """True if a later try may succeed; tasks with RETRIES then retry."""


class InvalidInputError(NycTaxiError):
    """A parameter, setting, address or rule is invalid. Nothing was read or written."""


class SourceError(NycTaxiError):
    """The source of the months cannot be used."""


class NotPublishedError(SourceError):
    """The source does not have the month: HTTP 403 or 404, or no such file."""

    status: int | None = None
    """HTTP status, if a server answered."""


class SourceRefusedError(SourceError):
    """The source or a proxy refuses the request; a retry would not help."""


class TransientSourceError(SourceError):
    """The source was throttled, unreachable or cut off. The partial download is kept."""

    retryable = True
    retry_after: float | None = None
    """Seconds that the server asks to wait before the next request."""


class CorruptFileError(SourceError):
    """The file is truncated, fails its checksum, or is not in the format that its name says."""


class SchemaMismatchError(NycTaxiError):
    """The columns of the file are not those of its color."""


class InvalidValueError(NycTaxiError):
    """A value cannot be cast to the type of its column."""


class LocalWriteError(NycTaxiError):
    """A file or folder on this machine cannot be read or written."""


class StorageError(NycTaxiError):
    """The lake or the warehouse cannot be used, or rejects the data. Nothing was changed."""


class LockTimeoutError(StorageError):
    """Another run holds the file, the month or the table."""

    retryable = True


class ConnectionLostError(StorageError):
    """The connection to the store was lost."""

    retryable = True


class ServerError(NycTaxiError):
    """The Prefect server does not answer, refuses access, or does not fit this Prefect."""


class PartialFailureError(NycTaxiError):
    """Some months of a run failed; the message lists them with their reasons."""
