"""The TLC's reference files, such as the taxi zones: `misc/` next to the months of a source."""

from pathlib import Path

from nyc_taxi.errors import NotPublishedError
from nyc_taxi.sources.content_encoding import decode
from nyc_taxi.sources.http_client import Reply, get
from nyc_taxi.sources.locations import locate_reference_file
from nyc_taxi.storage.atomic_files import atomic_write, translate_os_errors


def fetch_reference_file(name: str, source: str, folder: Path, timeout: float = 30) -> Path:
    """Return the path of the file: downloaded to `folder`, or its path in a local source.

    The content is not verified.
    """
    location = locate_reference_file(name, source)
    if isinstance(location, Path):
        if not location.is_file():
            raise NotPublishedError(f"{location} does not exist; check NYC_TAXI_SOURCE_URL")
        return location
    target = folder / "misc" / name
    with atomic_write(target) as part:

        def receive(reply: Reply) -> str:
            with translate_os_errors(target), part.open("wb") as file:
                file.writelines(reply.chunks)
            return str(reply.headers.get("Content-Encoding", ""))

        decode(part, name, get(location, receive, timeout=timeout))
    return target
