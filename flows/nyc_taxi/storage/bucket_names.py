"""Names of buckets and of folders in them, as set in NYC_TAXI_GCS_... and NYC_TAXI_S3_..."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nyc_taxi.errors import InvalidInputError


@dataclass(frozen=True)
class BucketNames:
    """The rules of one kind of bucket."""

    store: str
    """As in the names of the settings: GCS or S3."""
    scheme: str
    pattern: str
    rule: str
    """What `pattern` allows, for the message."""

    def bucket(self, name: str) -> str:
        """Return the name. Raises InvalidInputError if it is empty, a URL or a path."""
        setting = f"NYC_TAXI_{self.store}_BUCKET"
        if not name:
            raise InvalidInputError(f"{setting} is not set; set it to the name of the bucket")
        first, _, rest = name.removeprefix(self.scheme).strip("/").partition("/")
        if first != name:
            also = f" and NYC_TAXI_{self.store}_FOLDER={rest}" if rest else ""
            raise InvalidInputError(
                f"{setting}={name!r} is not just a name; write {setting}={first}{also}"
            )
        if not re.fullmatch(self.pattern, name):
            raise InvalidInputError(f"{setting}={name!r} is not a valid bucket name: {self.rule}")
        return name

    def folder(self, name: str) -> str:
        if "\\" in name or name.startswith(("/", self.scheme)) or "//" in name:
            setting = f"NYC_TAXI_{self.store}_FOLDER"
            raise InvalidInputError(
                f"{setting}={name!r} is not a valid folder; write it like trips/2021"
            )
        return name


GCS = BucketNames(
    "GCS",
    "gs://",
    r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]",
    "3 or more of a-z, 0-9, - _ and ., with a letter or a digit at both ends",
)
S3 = BucketNames(
    "S3",
    "s3://",
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "3 to 63 of a-z, 0-9, - and ., with a letter or a digit at both ends",
)
