"""Column names that every warehouse accepts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from nyc_taxi.errors import SchemaMismatchError

MAX_BYTES = 63
"""Maximum length of a name in PostgreSQL."""
_RESERVED = {
    "trip_month": "added by the warehouses",
    **dict.fromkeys(
        ("ctid", "xmin", "xmax", "cmin", "cmax", "oid", "tableoid"), "reserved by PostgreSQL"
    ),
}
_BIGQUERY_PREFIXES = (
    *("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier"),
    *("_change_sequence_number", "_change_type"),
)
"""Source: https://cloud.google.com/bigquery/docs/schemas#column_names"""


def normalize_name(name: str) -> str:
    """Return a key that is equal for two names that some warehouse treats as the same column."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def check_names(names: Iterable[str], file: str) -> None:
    """Raise SchemaMismatchError for a column name that some warehouse rejects."""
    seen: dict[str, str] = {}
    for name in names:
        key = normalize_name(name)
        if reason := _problem(name, key, seen):
            raise SchemaMismatchError(
                f"{file} has a column {_escape(name)}, {reason}; to load the file without it, add "
                f"`{_escape(name)}: drop` to flows/config/sensitive_fields.yaml"
            )
        seen[key] = name


def check_duplicates(names: Iterable[str | None], file: str) -> None:
    """Raise SchemaMismatchError if two names differ only by case or surrounding blanks.

    DuckDB would hide or rename one of the columns, so that no rule could drop it.
    """
    seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if name is None:
            continue
        first = seen.setdefault(name.strip().lower(), position)
        if first != position:
            raise SchemaMismatchError(
                f"{file} has the column {name.strip()} twice (columns {first} and {position}), "
                "ignoring case and surrounding blanks; rename one of them"
            )


def _problem(name: str, key: str, seen: dict[str, str]) -> str | None:
    if not key:
        return "an empty name"
    if not key.isprintable():
        return "whose name contains a control or invisible character"
    if key in seen:
        return f"which some warehouses treat as the same name as {_escape(seen[key])}"
    if len(name.encode()) > MAX_BYTES:
        return f"whose name is longer than the {MAX_BYTES} bytes that PostgreSQL allows"
    if key.startswith(_BIGQUERY_PREFIXES):
        return "whose name is reserved by BigQuery"
    return f"whose name is {_RESERVED[key]}" if key in _RESERVED else None


def _escape(name: str) -> str:
    """Return the name as a double-quoted YAML string."""
    escaped = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = "".join(
        c if c.isprintable() else f"\\U{ord(c):08x}"
        for c in escaped.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{text}"'
