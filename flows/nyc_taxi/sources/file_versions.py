"""Versions of raw files. A download keeps its version next to it, in `<file>.json`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from nyc_taxi.errors import CorruptFileError, InvalidValueError, SchemaMismatchError
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.urls import is_remote, safe_url

_CREDENTIALS = re.compile(
    r"x-(amz|goog|oss|cos|obs)-.*|sig|signature|s[aeiprtv]|spr|srt|ss|sk(oid|tid|t|e|s|v)|expires?"
    r"|policy|key-pair-id|googleaccessid|awsaccesskeyid|(access_?)?token|api_?key|auth\w*|password",
    re.IGNORECASE,
)
"""Query parameters of signed URLs (AWS, Google, Azure, CloudFront) and common names of tokens.

They change when a URL is signed again; the file does not.
"""


@dataclass(frozen=True)
class Version:
    """Version of a file on disk."""

    url: str
    """See `url_identity`."""
    etag: str | None
    modified: str | None
    size: int | None
    """Bytes of the file; for a `.part`, bytes of the complete file."""
    encoding: str | None = None
    """Content-Encoding of a `.part`."""

    @classmethod
    def from_headers(cls, url: str, headers: Mapping[str, str]) -> Version:
        etag, modified = headers.get("ETag"), headers.get("Last-Modified")
        return cls(url_identity(url), etag, modified, None, headers.get("Content-Encoding"))

    @classmethod
    def read(cls, path: Path) -> Version | None:
        """Read the metadata of a file; None if there is none, or it is invalid."""
        try:
            return cls(**json.loads(metadata_path(path).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        metadata_path(path).write_text(json.dumps(asdict(self)))

    @property
    def strong_etag(self) -> str | None:
        """The ETag, if `If-Range` may carry it."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None

    @property
    def token(self) -> str:
        """Text that changes with the file, if the server sends anything to recognize it by."""
        return self.etag or self.modified or "the only one"


def metadata_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def url_identity(url: str) -> str:
    """Return a key that is the same for all URLs of one file, and contains no secret.

    Credentials are removed. The rest of the query is hashed and cut to 32 bits: enough to
    distinguish files, too little to recover a secret under an unknown parameter name.
    """
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    rest = [pair for pair in query if not _CREDENTIALS.fullmatch(pair[0])]
    digest = hashlib.sha256(urlencode(rest).encode()).hexdigest()[:8]
    return safe_url(url) + (f"#{digest}" if rest else "")


def file_version(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} bytes of {stat.st_mtime_ns}"


def downloaded_version(raw: Path, source: str) -> str | None:
    """Return the version of a raw file, in the format of `published_version`; None if unknown."""
    if not is_remote(source):
        return file_version(raw)
    version = Version.read(raw)
    return version.token if version else None


@contextmanager
def discard_if_corrupt(raw: Path, source: str) -> Iterator[None]:
    """Delete a downloaded file if the block rejects it, so that the next run downloads it again.

    A plain CSV has no checksum, so a damaged file may appear as an invalid value or column name.
    Files of a local source are never deleted.
    """
    before = _state(raw)
    try:
        yield
    except (CorruptFileError, SchemaMismatchError, InvalidValueError):
        if is_remote(source):
            with file_lock(raw):
                if _state(raw) == before:  # else another run has replaced it
                    metadata_path(raw).unlink(missing_ok=True)
                    raw.unlink(missing_ok=True)
        raise


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
