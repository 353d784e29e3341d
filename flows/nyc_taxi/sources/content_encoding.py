"""Content-Encoding of downloads."""

import gzip
import zlib
from pathlib import Path

from nyc_taxi.cancellation import check_stopped
from nyc_taxi.errors import CorruptFileError
from nyc_taxi.sources.file_formats import CHUNK, GZIP


def decode(path: Path, name: str, encoding: str | None) -> None:
    """Decode a file in place if the server applied a Content-Encoding, although none was requested.

    The content overrides the header: some servers declare gzip for files that are not compressed,
    or that are gzip files themselves. Raises CorruptFileError if the file cannot be decoded.
    """
    codings = {coding.strip().removeprefix("x-") for coding in (encoding or "").lower().split(",")}
    advice = f"check what the source serves for {name}"
    if unknown := codings & {"br", "zstd", "deflate", "compress"}:
        raise CorruptFileError(
            f"{name} was sent with Content-Encoding {', '.join(unknown)}, which was not requested; "
            f"{advice}"
        )
    if "gzip" not in codings or not _is_gzip(path):
        return
    try:
        if name.endswith(".gz") and not _contains_gzip(path):
            return
        with gzip.open(path) as encoded, _decoded(path).open("wb") as decoded:
            while chunk := encoded.read(CHUNK):
                check_stopped()
                decoded.write(chunk)
        _decoded(path).replace(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise CorruptFileError(f"{name} was sent as invalid gzip ({problem}); {advice}") from None
    finally:
        _decoded(path).unlink(missing_ok=True)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


def _contains_gzip(path: Path) -> bool:
    with gzip.open(path) as file:
        return file.read(2) == GZIP


def _decoded(path: Path) -> Path:
    return path.with_name(f"{path.name}.decoded")
