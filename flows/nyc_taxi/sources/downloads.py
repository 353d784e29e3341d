"""What is known of a downloaded file: kept next to it, as `<file>.json`."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from nyc_taxi.cancellation import check_stopped
from nyc_taxi.errors import CorruptFileError, InvalidValueError, SchemaMismatchError
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.urls import is_remote, safe_url

CHUNK = 1 << 20
GZIP = b"\x1f\x8b"
_CREDENTIALS = re.compile(
    r"x-(amz|goog|oss|cos|obs)-.*|sig|signature|s[aeiprtv]|spr|srt|ss|sk(oid|tid|t|e|s|v)|expires?"
    r"|policy|key-pair-id|googleaccessid|awsaccesskeyid|(access_?)?token|api_?key|auth\w*|password",
    re.IGNORECASE,
)
"""Query parameters that a renewed signature changes, but not the file: those of AWS, Google, Azure
and CloudFront, and common names of tokens."""


@dataclass(frozen=True)
class Version:
    """Which version of a file is on disk."""

    url: str
    """See `identity`."""
    etag: str | None
    modified: str | None
    size: int | None
    """Bytes: of the file; of a `.part`, those it has once it is complete."""
    encoding: str | None = None
    """Content-Encoding of a `.part`."""

    @classmethod
    def from_headers(cls, url: str, headers: Mapping[str, str]) -> Version:
        etag, modified = headers.get("ETag"), headers.get("Last-Modified")
        return cls(identity(url), etag, modified, None, headers.get("Content-Encoding"))

    @classmethod
    def of(cls, path: Path) -> Version | None:
        try:
            return cls(**json.loads(metadata_path(path).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, path: Path) -> None:
        metadata_path(path).write_text(json.dumps(asdict(self)))

    @property
    def validator(self) -> str | None:
        """What `If-Range` may carry: a strong ETag."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None

    @property
    def token(self) -> str:
        return self.etag or self.modified or "the only one"


def metadata_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def identity(url: str) -> str:
    """What tells the URL of one file from another's, without anything secret.

    Other credentials make no other file. The rest of a query is hashed, and cut to 32 bits: they
    tell files apart, but are not enough to find out a secret that has an unknown name.
    """
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    rest = [pair for pair in query if not _CREDENTIALS.fullmatch(pair[0])]
    digest = hashlib.sha256(urlencode(rest).encode()).hexdigest()[:8]
    return safe_url(url) + (f"#{digest}" if rest else "")


def file_version(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} bytes of {stat.st_mtime_ns}"


def downloaded_version(raw: Path, source: str) -> str | None:
    """The version of the raw file, as `published_version` gives it; None when it is not known."""
    if not is_remote(source):
        return file_version(raw)
    version = Version.of(raw)
    return version.token if version else None


@contextmanager
def discard_if_corrupt(raw: Path, source: str) -> Iterator[None]:
    """Delete a downloaded file that the block refuses, so that the next run fetches it again.

    Damage on the way or on the disk may look like a bad value or name: a plain CSV has no checksum.
    A file of a local source stays as it is.
    """
    seen = _state(raw)
    try:
        yield
    except (CorruptFileError, SchemaMismatchError, InvalidValueError):
        if is_remote(source):
            with file_lock(raw):
                if _state(raw) == seen:  # else another run has replaced it
                    metadata_path(raw).unlink(missing_ok=True)
                    raw.unlink(missing_ok=True)
        raise


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def decode(path: Path, name: str, encoding: str | None) -> None:
    """Undo, in place, a Content-Encoding that the server used although none was asked for.

    The bytes count more than the header: servers declare gzip for files that are not, and for
    those that are gzip files themselves.
    """
    codings = {coding.strip().removeprefix("x-") for coding in (encoding or "").lower().split(",")}
    again = f"look at what the source serves for {name}"
    if unknown := codings & {"br", "zstd", "deflate", "compress"}:
        raise CorruptFileError(
            f"{name} came with Content-Encoding {', '.join(unknown)}, not asked for; {again}"
        )
    if "gzip" not in codings or not _is_gzip(path):
        return
    try:
        if name.endswith(".gz") and not _holds_gzip(path):
            return
        with gzip.open(path) as encoded, _decoded(path).open("wb") as decoded:
            while chunk := encoded.read(CHUNK):
                check_stopped()
                decoded.write(chunk)
        _decoded(path).replace(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise CorruptFileError(
            f"{name} came as gzip that cannot be decoded ({problem}); {again}"
        ) from None
    finally:
        _decoded(path).unlink(missing_ok=True)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


def _holds_gzip(path: Path) -> bool:
    with gzip.open(path) as file:
        return file.read(2) == GZIP


def _decoded(path: Path) -> Path:
    return path.with_name(f"{path.name}.decoded")
