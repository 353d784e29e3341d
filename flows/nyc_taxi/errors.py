"""What can go wrong.

    NycTaxiError
    ├── BadInput            a colour, month, address or setting that cannot be
    ├── SourceError         the place the months come from
    │   ├── NotPublished        it has no such month (yet)
    │   ├── Refused             it will not serve us
    │   ├── Interrupted         throttled, cut off, timed out: can pass, so it is worth a retry
    │   └── Damaged             what came is not the file it claims to be
    ├── BadSchema           the file's columns are not those of its colour
    ├── BadValue            a value does not fit the type its column is declared with
    ├── CannotWrite         a file or a folder on this machine
    ├── StoreError          the lake or the warehouse
    │   ├── Busy                somebody else holds it: can pass
    │   └── ConnectionLost      its server went away: can pass
    └── MonthsFailed        some months of a run failed; the others are done

A message is one line: what was wrong, what is allowed, and what to run.
"""

INTERRUPTED = "Interrupted; completed work is kept. Rerun to resume."
"""The line after a signal."""


class NycTaxiError(Exception):
    can_pass = False


class BadInput(NycTaxiError):
    pass


class SourceError(NycTaxiError):
    pass


class NotPublished(SourceError):
    status: int | None = None
    """Of HTTP, where a server said so."""


class Refused(SourceError):
    pass


class Interrupted(SourceError):
    can_pass = True
    retry_after: float | None = None
    """Seconds that the server asks to wait before the next try."""


class Damaged(SourceError):
    pass


class BadSchema(NycTaxiError):
    pass


class BadValue(NycTaxiError):
    pass


class CannotWrite(NycTaxiError):
    pass


class StoreError(NycTaxiError):
    pass


class Busy(StoreError):
    can_pass = True


class ConnectionLost(StoreError):
    can_pass = True


class MonthsFailed(NycTaxiError):
    pass
