"""Names of columns that every warehouse takes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from nyc_taxi.errors import SchemaMismatchError

LONGEST = 63
"""Bytes of a name in PostgreSQL."""
_RESERVED = {
    "trip_month": "the warehouses' own column",
    **dict.fromkeys(
        ("ctid", "xmin", "xmax", "cmin", "cmax", "oid", "tableoid"), "reserved by PostgreSQL"
    ),
}
_BIGQUERY = (
    *("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier"),
    *("_change_sequence_number", "_change_type"),
)
"""Prefixes (https://cloud.google.com/bigquery/docs/schemas#column_names)."""


def normalize_name(name: str) -> str:
    """What two names have in common that some warehouse takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def check_names(names: Iterable[str], file: str) -> None:
    """Raise SchemaMismatchError for a column that a warehouse would reject, now or later."""
    seen: dict[str, str] = {}
    for name in names:
        key = normalize_name(name)
        if why := _problem(name, key, seen):
            raise SchemaMismatchError(
                f"{file} has a column {_shown(name)}, {why}; to load the file without it, add "
                f"`{_shown(name)}: drop` to flows/config/sensitive_fields.yaml"
            )
        seen[key] = name


def _problem(name: str, key: str, seen: dict[str, str]) -> str | None:
    if not key:
        return "an empty name"
    if not key.isprintable():
        return "whose name has a control character, or an invisible one"
    if key in seen:
        return f"which warehouses take for the same as {_shown(seen[key])}"
    if len(name.encode()) > LONGEST:
        return f"whose name is longer than the {LONGEST} bytes that PostgreSQL allows"
    if key.startswith(_BIGQUERY):
        return "whose name is reserved by BigQuery"
    return f"whose name is {_RESERVED[key]}" if key in _RESERVED else None


def _shown(name: str) -> str:
    """As YAML reads it between double quotes."""
    escaped = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = "".join(
        c if c.isprintable() else f"\\U{ord(c):08x}"
        for c in escaped.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{text}"'
