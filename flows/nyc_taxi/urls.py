"""URLs in settings and messages."""

import re

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


def lacks_scheme(text: str) -> bool:
    """Whether the text looks like a URL without its scheme, such as `example.com/trip-data`."""
    return bool(_NO_SCHEME.match(text))
