"""Where a month lies: a setting becomes the URL or the path of one file."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from urllib.request import url2pathname

from nyc_taxi.errors import InvalidInputError, NotPublishedError
from nyc_taxi.settings import from_root
from nyc_taxi.trips.months import TripMonth
from nyc_taxi.urls import is_remote, lacks_scheme, safe_url

FORMATS = (".parquet", ".csv.gz", ".csv")


def format_of(url: str) -> str | None:
    """The format that a URL names in its path, or in its query (`?file=...csv`)."""
    path, _, query = url.partition("#")[0].partition("?")
    names = [path, *(value for _, value in parse_qsl(query))]
    return next((end for name in names for end in FORMATS if name.lower().endswith(end)), None)


def locate(trips: TripMonth, source: str) -> str | Path:
    """The URL or the path of a month's file in a source (see Settings.source_url).

    The URL may hold credentials: print `safe_url(url)`.
    """
    source = source.strip() if is_remote(source) else source  # secrets often end in a newline
    place = _filled(source, trips.color, trips.year, trips.month)
    if isinstance(place, Path):
        return _in_folder(trips, source, place)
    if place == source:
        path, mark, query = place.partition("#")[0].partition("?")
        place = f"{path.rstrip('/')}/{trips.stem}.parquet{mark}{query}"
    if not format_of(place):
        raise InvalidInputError(
            f"NYC_TAXI_SOURCE_URL={safe_url(source)!r} ends in no known format: "
            f"use {', '.join(FORMATS)}"
        )
    return place


def locate_reference_file(name: str, source: str) -> str | Path:
    """The URL or the path of one of the TLC's small files, in `misc/` next to the months' folder.

    The URL may hold credentials: print `safe_url(url)`.
    """
    source = source.strip() if is_remote(source) else source
    place = _filled(source, "yellow", 2021, 1)
    if isinstance(place, Path):
        return (place.parent if place.name.endswith(FORMATS) else place).parent / "misc" / name
    path, mark, query = place.partition("#")[0].partition("?")
    scheme, path = path[: path.index("://") + 3], path[path.index("://") + 3 :]
    in_query = place != source and not path.lower().endswith(FORMATS) and format_of(place)
    if not in_query:
        host, _, folder = path.rstrip("/").partition("/")
        return f"{scheme}{host}/{_in_misc(folder, name).lstrip('/')}{mark}{query}"
    values = (pair.partition("=")[2] for pair in query.split("&"))
    file = next(value for value in values if unquote(value).lower().endswith(FORMATS))
    return f"{scheme}{path}?{query.replace(file, quote(_in_misc(unquote(file), name)))}"


def _in_misc(months: str, name: str) -> str:
    if months.lower().endswith(FORMATS):
        months = months.rpartition("/")[0]
    parent, slash, _ = months.rpartition("/")
    return f"{parent}{slash}misc/{name}"


def _filled(source: str, color: str, year: int, month: int) -> str | Path:
    """The source with its placeholders filled: a URL of HTTP, or a path."""
    shown = f"NYC_TAXI_SOURCE_URL={safe_url(source)!r}"
    try:
        place = source.format(color=color, year=year, month=month)
    except (LookupError, ValueError, AttributeError, TypeError):
        raise InvalidInputError(
            f"{shown} is no template: it may hold {{color}}, {{year}} and {{month:02}}"
        ) from None
    if "://" not in place and not place.startswith("file:"):
        path = from_root(place)
        if safe_url(place) == "..." and not path.exists():
            raise InvalidInputError(f"{shown} cannot be fetched: give an http(s) URL or a folder")
        return path
    try:
        url = urlsplit(place)
        host, _ = (url.hostname or "").encode("idna"), url.port
    except ValueError:  # http://[::1, http://a..b or http://a:b
        url, host = urlsplit(""), b""
    if url.scheme == "file":
        if host not in (b"", b"localhost"):
            raise InvalidInputError(
                f"{shown} names a host; write file:///folder, with three slashes"
            )
        return Path(url2pathname(url.path))
    if url.scheme not in ("http", "https") or not host:
        raise InvalidInputError(f"{shown} cannot be fetched: give an http(s) URL or a folder")
    return place


def _in_folder(trips: TripMonth, source: str, place: Path) -> Path:
    candidates = [place / f"{trips.stem}{ending}" for ending in FORMATS]
    if place.name.endswith(FORMATS):
        candidates = [place]
    for path in candidates:
        if path.is_file():
            return path
    if lacks_scheme(source) and not from_root(re.split(r"[/?#]", source)[0]).exists():
        shown = safe_url(source)
        raise InvalidInputError(
            f"NYC_TAXI_SOURCE_URL={shown!r} is not a folder; write http://{shown} if it is a URL"
        )
    raise NotPublishedError(f"no file of {trips}: looked for {', '.join(map(str, candidates))}")
