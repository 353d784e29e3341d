"""From an address such as `local:data/lake` to the object that stands for the place."""

import pkgutil
from importlib import import_module
from typing import Any

from nyc_taxi.errors import BadInput


def open_place(package: str, address: str, setting: str) -> Any:
    """Call `open_place` of the module that the address names, with what follows the colon."""
    kinds = [module.name for module in pkgutil.iter_modules(import_module(package).__path__)]
    kind, colon, place = address.partition(":")
    if kind not in kinds or not colon or not place:
        raise BadInput(
            f"{setting}={address!r} names no place; write one of "
            f"{', '.join(f'{kind}:...' for kind in kinds)}"
        )
    return import_module(f"{package}.{kind}").open_place(place)
