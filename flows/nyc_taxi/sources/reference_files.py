"""The TLC's small files, in `misc/` next to the months of every source."""

from pathlib import Path

from nyc_taxi.errors import NotPublishedError
from nyc_taxi.sources.downloads import decode
from nyc_taxi.sources.http_client import Reply, get
from nyc_taxi.sources.locations import locate_reference_file
from nyc_taxi.storage.atomic_files import atomic_write, translate_os_errors


def fetch_reference_file(name: str, source: str, folder: Path, timeout: float = 30) -> Path:
    """The file: downloaded under `folder`, or where it lies in a local source.

    What it holds is for its reader to judge.
    """
    place = locate_reference_file(name, source)
    if isinstance(place, Path):
        if not place.is_file():
            raise NotPublishedError(f"there is no {place}; see NYC_TAXI_SOURCE_URL")
        return place
    target = folder / "misc" / name
    with atomic_write(target) as part:

        def receive(reply: Reply) -> str:
            with translate_os_errors(target), part.open("wb") as file:
                file.writelines(reply.chunks)
            return str(reply.headers.get("Content-Encoding", ""))

        decode(part, name, get(place, receive, timeout=timeout))
    return target
