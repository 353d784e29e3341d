"""Addresses such as `local:data/lake`: a kind of lake or warehouse, then a path or a block."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, Literal

from nyc_taxi.errors import InvalidInputError

Store = Literal["lake", "warehouse"]


def resolve(kinds: Mapping[str, str], address: str, setting: str) -> Any:
    """Import the function that `kinds` names for the address, and call it with the rest."""
    kind, colon, place = address.partition(":")
    if kind not in kinds or not colon or not place:
        allowed = ", ".join(f"{kind}:..." for kind in kinds)
        raise InvalidInputError(f"{setting}={address!r} is not an address; write one of {allowed}")
    return resolve_name(kinds[kind])(place)
