"""The TLC's small files, which lie in `misc/` beside the months of every source."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from nyc_taxi.errors import Interrupted, NotPublished, Refused
from nyc_taxi.files import replacing
from nyc_taxi.settings import from_root
from nyc_taxi.sources import FORMATS


def fetch_misc(name: str, source: str, folder: Path, timeout: float = 30) -> Path:
    """The file: downloaded under `folder`, or where it lies in a local source.

    What it holds is for its reader to judge.
    """
    months = source.format(color="yellow", year=2021, month=1).rstrip("/")
    if months.endswith(FORMATS):
        months = months.rpartition("/")[0]
    place = f"{months.rpartition('/')[0]}/misc/{name}"
    if place.startswith("file:") or "://" not in place:
        path = from_root(url2pathname(urlsplit(place).path) if "://" in place else place)
        if not path.is_file():
            raise NotPublished(f"there is no {path}; see NYC_TAXI_SOURCE_URL")
        return path
    try:
        answer = httpx.get(place, timeout=timeout, follow_redirects=True)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as problem:
        raise Refused(f"cannot fetch {place}: {problem}; see NYC_TAXI_SOURCE_URL") from problem
    except httpx.HTTPError as problem:
        raise Interrupted(f"{place} gave no answer ({problem}); run this again") from problem
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Interrupted(f"{place} answers {answer.status_code}; run this again later")
    if answer.status_code != 200:
        raise NotPublished(f"{place} answers {answer.status_code}; see NYC_TAXI_SOURCE_URL")
    target = folder / "misc" / name
    with replacing(target) as part:
        part.write_bytes(answer.content)
    return target
