"""Resolve addresses such as `local:data/lake`: `<kind>:<path or Prefect block>`."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, Literal

from nyc_taxi.errors import InvalidInputError

Store = Literal["lake", "warehouse"]


def resolve(kinds: Mapping[str, str], address: str, setting: str) -> Any:
    """Call the factory that `kinds` maps the kind to, with the part after the colon.

    `setting` is named in the error. Raises InvalidInputError for an unknown kind.
    """
    kind, _, name = address.partition(":")
    if kind not in kinds or not name:
        allowed = ", ".join(f"{kind}:..." for kind in kinds)
        raise InvalidInputError(
            f"{setting}={address!r} is not a valid address; use one of {allowed}"
        )
    return resolve_name(kinds[kind])(name)
