"""Where a month lies: a setting becomes the URL or the path of one file."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from nyc_taxi.errors import BadInput, NotPublished
from nyc_taxi.months import TripMonth
from nyc_taxi.settings import from_root

FORMATS = (".parquet", ".csv.gz", ".csv")


def locate(trips: TripMonth, source: str) -> str | Path:
    """The URL or the path of a month's file in a source (see Settings.source_url)."""
    try:
        place = source.format(color=trips.color, year=trips.year, month=trips.month)
    except (LookupError, ValueError, AttributeError, TypeError) as problem:
        raise BadInput(
            f"NYC_TAXI_SOURCE_URL={source!r} is no template: it may hold "
            "{color}, {year} and {month:02}"
        ) from problem
    if "://" not in place:
        return _in_folder(trips, from_root(place))
    try:
        url = urlsplit(place)
        host = (url.hostname or "").encode("idna")
    except ValueError:  # http://[::1 or http://a..b
        url, host = urlsplit(""), b""
    if url.scheme == "file":
        return _in_folder(trips, Path(url2pathname(url.path)))
    if url.scheme not in ("http", "https") or not host:
        raise BadInput(
            f"NYC_TAXI_SOURCE_URL={source!r} cannot be fetched: give an http(s) URL or a folder"
        )
    if place == source:
        place = f"{source.rstrip('/')}/{trips.stem}.parquet"
    if not place.endswith(FORMATS):
        raise BadInput(
            f"NYC_TAXI_SOURCE_URL={source!r} ends in no known format: use {', '.join(FORMATS)}"
        )
    return place


def _in_folder(trips: TripMonth, place: Path) -> Path:
    candidates = [place / f"{trips.stem}{ending}" for ending in FORMATS]
    if place.name.endswith(FORMATS):
        candidates = [place]
    for path in candidates:
        if path.is_file():
            return path
    raise NotPublished(f"no file of {trips}: looked for {', '.join(map(str, candidates))}")
