"""URLs in settings and messages."""

import re

_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_AUTHORITY = re.compile(r"(\[[\w.:%]*\]?|[^:@]*)(:\d*)?")
_NO_SCHEME = re.compile(
    r"([^/:@]+:[^@]*@.+|localhost|[\w-]+:\d+|[\w-]+(\.[\w-]+)+|\[[\da-fA-F:]+\])(:\d+)?([/?#]|$)"
)
"""Matches a URL without a scheme, such as `example.com/trip-data`, and some folder names."""


def safe_url(url: str) -> str:
    """Return the URL without credentials, query and fragment, for messages and files.

    A path is returned unchanged.
    """
    path, url = url, url.lstrip("'\" \r\n\t")
    blanks = path.removesuffix(url)
    scheme = _SCHEME.match(url)
    if not scheme and not _NO_SCHEME.match(url):
        return "..." if re.search("//[^/@]*:.*@", url) else path
    prefix = scheme[0] if scheme else ""
    authority, slash, path = re.split(r"[?#]", url[len(prefix) :])[0].partition("/")
    prefix = blanks + prefix
    host = authority.rpartition("@")[2]
    # A `/`, `?` or `#` in a password ends the authority early.
    cut_short = "@" in path and ":" in authority and "@" not in authority
    if cut_short or not _AUTHORITY.fullmatch(host):
        return f"{prefix}..."
    return f"{prefix}{host}{slash}{path}"


def is_remote(source: str) -> bool:
    return source.strip().lower().startswith(("http://", "https://"))


def lacks_scheme(text: str) -> bool:
    """Return whether the text looks like a URL without a scheme: `example.com/trip-data`."""
    return bool(_NO_SCHEME.match(text))
