"""The TLC's lookup of its 265 taxi zones, which lies beside the months of every source."""

from pathlib import Path

import httpx

from nyc_taxi.errors import Damaged, Interrupted, NotPublished
from nyc_taxi.files import replacing
from nyc_taxi.settings import from_root
from nyc_taxi.sources import FORMATS

LOOKUP = "misc/taxi_zone_lookup.csv"
HEADER = b"LocationID"


def fetch_zones(source: str, folder: Path, timeout: float = 30) -> Path:
    """The lookup: downloaded under `folder`, or where it lies in a local source."""
    months = source.format(color="yellow", year=2021, month=1).rstrip("/")
    if months.endswith(FORMATS):
        months = months.rpartition("/")[0]
    place = f"{months.rpartition('/')[0]}/{LOOKUP}"
    if "://" not in place:
        return _checked(from_root(place), place)
    try:
        answer = httpx.get(place, timeout=timeout, follow_redirects=True)
    except httpx.HTTPError as problem:
        raise Interrupted(f"{place} gave no answer ({problem}); run this again") from problem
    if answer.status_code != 200:
        raise NotPublished(f"{place} answers {answer.status_code}; see NYC_TAXI_SOURCE_URL")
    target = folder / LOOKUP
    with replacing(target) as part:
        part.write_bytes(answer.content)
        _checked(part, place)
    return target


def _checked(path: Path, place: str) -> Path:
    if not path.is_file():
        raise NotPublished(f"there is no {place}; see NYC_TAXI_SOURCE_URL")
    if HEADER not in path.read_bytes()[:100]:
        raise Damaged(f"{place} is no zone lookup; see NYC_TAXI_SOURCE_URL")
    return path
