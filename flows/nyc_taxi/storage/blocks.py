"""Prefect blocks, which keep the addresses and credentials of lakes and warehouses."""

from __future__ import annotations

from typing import TypeVar, cast

from prefect.blocks.core import Block

from nyc_taxi.errors import InvalidInputError

B = TypeVar("B", bound=Block)


def load_block(
    kind: type[B], name: str, fix: str, errors: tuple[type[Exception], ...] = (ValueError,)
) -> B:
    """Return a saved block. Raises InvalidInputError if it does not exist or is invalid.

    `fix`: the command for the message. `errors`: what `kind` raises for invalid values.
    """
    block = find_block(kind, name, fix, errors)
    if block is None:
        raise InvalidInputError(
            f"the block {kind.get_block_type_slug()}/{name} does not exist; {fix}"
        )
    return block


def find_block(
    kind: type[B], name: str, fix: str, errors: tuple[type[Exception], ...] = (ValueError,)
) -> B | None:
    """Return a saved block; None if it does not exist. See `load_block`."""
    try:
        return cast(B, kind.load(name))
    except errors as problem:
        if "Unable to find block document" in str(problem):
            return None
        reason = " ".join(str(problem).partition("\n")[0].split())
        raise InvalidInputError(
            f"the block {kind.get_block_type_slug()}/{name} is invalid: {reason}; {fix}"
        ) from problem
