"""Where a month lies: a setting becomes the URL or the path of one file."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from urllib.request import url2pathname

from nyc_taxi.errors import BadInput, NotPublished
from nyc_taxi.months import TripMonth
from nyc_taxi.settings import from_root

FORMATS = (".parquet", ".csv.gz", ".csv")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_AUTHORITY = re.compile(r"(\[[\w.:%]*\]?|[^:@]*)(:\d*)?")
_NO_SCHEME = re.compile(
    r"([^/:@]+:[^@]*@.+|localhost|[\w-]+:\d+|[\w-]+(\.[\w-]+)+|\[[\da-fA-F:]+\])(:\d+)?([/?#]|$)"
)
"""A URL whose scheme was forgotten, such as `example.com/trip-data`; folders may look like it."""


def safe_url(url: str) -> str:
    """The URL for messages and files: without credentials, query and fragment; a path as it is."""
    path, url = url, url.lstrip("'\" \r\n\t")
    before = path.removesuffix(url)
    scheme = _SCHEME.match(url)
    if not scheme and not _NO_SCHEME.match(url):
        return "..." if re.search("//[^/@]*:.*@", url) else path
    start = scheme[0] if scheme else ""
    authority, slash, path = re.split(r"[?#]", url[len(start) :])[0].partition("/")
    start = before + start
    host = authority.rpartition("@")[2]
    # A password that holds a `/`, `?` or `#` ends the authority early.
    torn = "@" in path and ":" in authority and "@" not in authority
    if torn or not _AUTHORITY.fullmatch(host):
        return f"{start}..."
    return f"{start}{host}{slash}{path}"


def is_remote(source: str) -> bool:
    return source.strip().lower().startswith(("http://", "https://"))


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
        raise BadInput(
            f"NYC_TAXI_SOURCE_URL={safe_url(source)!r} ends in no known format: "
            f"use {', '.join(FORMATS)}"
        )
    return place


def locate_misc(name: str, source: str) -> str | Path:
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
        raise BadInput(
            f"{shown} is no template: it may hold {{color}}, {{year}} and {{month:02}}"
        ) from None
    if "://" not in place and not place.startswith("file:"):
        path = from_root(place)
        if safe_url(place) == "..." and not path.exists():
            raise BadInput(f"{shown} cannot be fetched: give an http(s) URL or a folder")
        return path
    try:
        url = urlsplit(place)
        host, _ = (url.hostname or "").encode("idna"), url.port
    except ValueError:  # http://[::1, http://a..b or http://a:b
        url, host = urlsplit(""), b""
    if url.scheme == "file":
        if host not in (b"", b"localhost"):
            raise BadInput(f"{shown} names a host; write file:///folder, with three slashes")
        return Path(url2pathname(url.path))
    if url.scheme not in ("http", "https") or not host:
        raise BadInput(f"{shown} cannot be fetched: give an http(s) URL or a folder")
    return place


def _in_folder(trips: TripMonth, source: str, place: Path) -> Path:
    candidates = [place / f"{trips.stem}{ending}" for ending in FORMATS]
    if place.name.endswith(FORMATS):
        candidates = [place]
    for path in candidates:
        if path.is_file():
            return path
    if _NO_SCHEME.match(source) and not from_root(re.split(r"[/?#]", source)[0]).exists():
        shown = safe_url(source)
        raise BadInput(
            f"NYC_TAXI_SOURCE_URL={shown!r} is not a folder; write http://{shown} if it is a URL"
        )
    raise NotPublished(f"no file of {trips}: looked for {', '.join(map(str, candidates))}")
