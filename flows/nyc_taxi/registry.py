"""Resolve addresses such as `local:data/lake`: `<kind>:<path or Prefect block>`."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, Literal

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.urls import safe_url

Store = Literal["lake", "warehouse"]

URL_KINDS = ("hdfs",)
"""Kinds whose addresses are URLs."""


def shown_address(address: str) -> str:
    """Return the address for messages: without credentials, if it is a URL."""
    return safe_url(address) if "://" in address else address


def resolve(kinds: Mapping[str, str], address: str, setting: str) -> Any:
    """Call the factory that `kinds` maps the kind to, with the part after the colon.

    `setting` is named in the error. Raises InvalidInputError for an unknown kind.
    """
    kind, _, name = address.partition(":")
    shown = shown_address(address)
    if kind not in kinds or not name:
        allowed = ", ".join(f"{kind}:..." for kind in kinds)
        raise InvalidInputError(f"{setting}={shown!r} is not a valid address; use one of {allowed}")
    if name.startswith("//") and kind not in URL_KINDS:
        raise InvalidInputError(
            f"{setting}={shown!r} is a URL; write {kind}:NAME with the name of a Prefect block, "
            f"or {kind}:PATH for local and duckdb"
        )
    return resolve_name(kinds[kind])(name)
