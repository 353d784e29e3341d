"""Location of a month: from NYC_TAXI_SOURCE_URL to the URL or path of one file."""

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
    """Return the format of a URL, from the path or the query (`?file=...csv`)."""
    path, _, query = url.partition("#")[0].partition("?")
    names = [path, *(value for _, value in parse_qsl(query))]
    return next((ext for name in names for ext in FORMATS if name.lower().endswith(ext)), None)


def locate(trips: TripMonth, source: str) -> str | Path:
    """Return the URL or path of a month's file in a source (see Settings.source_url).

    The URL may contain credentials: log `safe_url(url)` instead. Raises InvalidInputError for an
    invalid source, NotPublishedError for a file that a local folder does not have.
    """
    source = source.strip() if is_remote(source) else source  # secrets often end in a newline
    location = _expand(source, trips.color, trips.year, trips.month)
    if isinstance(location, Path):
        return _find_in_folder(trips, source, location)
    if location == source:
        path, mark, query = location.partition("#")[0].partition("?")
        location = f"{path.rstrip('/')}/{trips.stem}.parquet{mark}{query}"
    if not format_of(location):
        raise InvalidInputError(
            f"NYC_TAXI_SOURCE_URL={safe_url(source)!r} has an unknown file format; "
            f"use {', '.join(FORMATS)}"
        )
    return location


def locate_reference_file(name: str, source: str) -> str | Path:
    """Return the URL or path of a reference file, in `misc/` next to the folder of the months.

    The URL may contain credentials: log `safe_url(url)` instead.
    """
    source = source.strip() if is_remote(source) else source
    location = _expand(source, "yellow", 2021, 1)
    if isinstance(location, Path):
        months = location.parent if location.name.endswith(FORMATS) else location
        return months.parent / "misc" / name
    path, mark, query = location.partition("#")[0].partition("?")
    scheme, path = path[: path.index("://") + 3], path[path.index("://") + 3 :]
    in_query = location != source and not path.lower().endswith(FORMATS) and format_of(location)
    if not in_query:
        host, _, folder = path.rstrip("/").partition("/")
        return f"{scheme}{host}/{_misc_path(folder, name).lstrip('/')}{mark}{query}"
    values = (pair.partition("=")[2] for pair in query.split("&"))
    file = next(value for value in values if unquote(value).lower().endswith(FORMATS))
    return f"{scheme}{path}?{query.replace(file, quote(_misc_path(unquote(file), name)))}"


def _misc_path(months: str, name: str) -> str:
    if months.lower().endswith(FORMATS):
        months = months.rpartition("/")[0]
    parent, slash, _ = months.rpartition("/")
    return f"{parent}{slash}misc/{name}"


def _expand(source: str, color: str, year: int, month: int) -> str | Path:
    """Fill in the placeholders of the source; return an HTTP(S) URL or a path."""
    setting = f"NYC_TAXI_SOURCE_URL={safe_url(source)!r}"
    try:
        location = source.format(color=color, year=year, month=month)
    except (LookupError, ValueError, AttributeError, TypeError):
        raise InvalidInputError(
            f"{setting} is not a valid template; use {{color}}, {{year}} and {{month:02}}"
        ) from None
    if "://" not in location and not location.startswith("file:"):
        path = from_root(location)
        if safe_url(location) == "..." and not path.exists():
            raise InvalidInputError(f"{setting} cannot be fetched; use an http(s) URL or a folder")
        return path
    try:
        url = urlsplit(location)
        host, _ = (url.hostname or "").encode("idna"), url.port
    except ValueError:  # http://[::1, http://a..b or http://a:b
        url, host = urlsplit(""), b""
    if url.scheme == "file":
        if host not in (b"", b"localhost"):
            raise InvalidInputError(
                f"{setting} contains a host; write file:///folder, with three slashes"
            )
        return Path(url2pathname(url.path))
    if url.scheme not in ("http", "https") or not host:
        raise InvalidInputError(f"{setting} cannot be fetched; use an http(s) URL or a folder")
    return location


def _find_in_folder(trips: TripMonth, source: str, location: Path) -> Path:
    candidates = [location / f"{trips.stem}{extension}" for extension in FORMATS]
    if location.name.endswith(FORMATS):
        candidates = [location]
    for path in candidates:
        if path.is_file():
            return path
    if lacks_scheme(source) and not from_root(re.split(r"[/?#]", source)[0]).exists():
        url = safe_url(source)
        raise InvalidInputError(
            f"NYC_TAXI_SOURCE_URL={url!r} is not a folder; write http://{url} if it is a URL"
        )
    raise NotPublishedError(
        f"there is no file for {trips}; looked for {', '.join(map(str, candidates))}"
    )
