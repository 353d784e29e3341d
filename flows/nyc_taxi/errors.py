"""Errors of this project.

    NycTaxiError
    ├── InvalidInputError           a color, month, address, setting or rule is invalid
    ├── SourceError                 a month cannot be fetched
    │   ├── NotPublishedError           the source does not have it (yet)
    │   ├── SourceRefusedError          the source denies access: not retried
    │   ├── TransientSourceError        throttled, cut off or timed out: retried
    │   └── CorruptFileError            the file is incomplete or in another format
    ├── SchemaMismatchError         the file lacks columns of its color
    ├── InvalidValueError           a value does not fit the type of its column
    ├── LocalWriteError             a file or folder on this machine cannot be used
    ├── StorageError                the lake or the warehouse failed or rejected the data
    │   ├── LockTimeoutError            another run or session has a lock: retried
    │   └── ConnectionLostError         its server closed the connection: retried
    ├── TransformError              a model or a test of silver or gold failed
    ├── ServerError                 the Prefect server cannot be used
    └── PartialFailureError         some months of a run failed; the others completed

A message is one line: what is wrong, what is allowed, the command that fixes it.
"""

INTERRUPTED = "Interrupted; completed work is kept. Rerun to resume."
"""Printed after SIGINT or SIGTERM."""


class NycTaxiError(Exception):
    """Base class. Expected errors: scripts print one line and exit with code 1."""

    retryable = False
    """True for a transient error: tasks with RETRIES retry it."""


class InvalidInputError(NycTaxiError):
    """A parameter, setting, address or rule is invalid. Nothing was written."""


class SourceError(NycTaxiError):
    """A month cannot be fetched from the source."""


class NotPublishedError(SourceError):
    """The source does not have the month: HTTP 403, 404 or 410, or no such file."""

    status: int | None = None
    """HTTP status; None for a source that is a folder."""


class SourceRefusedError(SourceError):
    """The source or a proxy denies the request. A retry does not help."""


class TransientSourceError(SourceError):
    """The source throttled, timed out or closed the connection. The partial download is kept."""

    retryable = True
    retry_after: float | None = None
    """Seconds from the Retry-After header, if it was sent."""


class CorruptFileError(SourceError):
    """The file is truncated, fails its checksum, or is not in the format of its extension."""


class SchemaMismatchError(NycTaxiError):
    """The file does not have the columns of its color."""


class InvalidValueError(NycTaxiError):
    """A value cannot be cast to the type of its column."""


class LocalWriteError(NycTaxiError):
    """A file or folder on this machine cannot be read or written."""


class StorageError(NycTaxiError):
    """The lake or the warehouse failed or rejected the data.

    Its contents are unchanged, unless the connection was lost during a commit that succeeded.
    """


class LockTimeoutError(StorageError):
    """Another run or session has a lock for longer than NYC_TAXI_WAIT, or in a deadlock."""

    retryable = True


class ConnectionLostError(StorageError):
    """The connection to the lake or the warehouse failed or was lost."""

    retryable = True


class TransformError(NycTaxiError):
    """A model or a test of silver or gold failed. The published tables are unchanged."""


class ServerError(NycTaxiError):
    """The Prefect server does not answer, refuses access, or is incompatible with this version of
    Prefect."""


class PartialFailureError(NycTaxiError):
    """Some months of a run failed; the message lists them with their reasons."""
