"""The cluster's configuration, from the files of HADOOP_CONF_DIR and YARN_CONF_DIR."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from nyc_taxi.errors import InvalidInputError

FILES = ("core-site.xml", "hdfs-site.xml", "yarn-site.xml")


def hadoop_configuration() -> Mapping[str, str]:
    """Return the properties of the cluster; {} without HADOOP_CONF_DIR and YARN_CONF_DIR.

    `${name}` in a value is replaced by that property or environment variable. Raises
    InvalidInputError for an unreadable folder or file.
    """
    found: dict[str, str] = {}
    for variable in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        place = os.environ.get(variable)
        if place and not Path(place).is_dir():
            raise InvalidInputError(
                f"{variable}={place!r} is not a folder; set it to the folder of core-site.xml"
            )
        for path in (Path(place) / name for name in FILES if place):
            if path.is_file():
                found |= _read(path)
    return {name: _expand(value, found) for name, value in found.items()}


def _read(path: Path) -> dict[str, str]:
    try:
        properties = ElementTree.parse(path).getroot().iter("property")
    except (OSError, ElementTree.ParseError) as problem:
        raise InvalidInputError(
            f"{path} of HADOOP_CONF_DIR cannot be read ({problem}); copy it from the cluster again"
        ) from problem
    return {
        (each.findtext("name") or "").strip(): (each.findtext("value") or "").strip()
        for each in properties
    }


def _expand(value: str, known: Mapping[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        name = found[1]
        return known.get(name) or os.environ.get(name.removeprefix("env.")) or found[0]

    for _ in range(5):  # values refer to values
        value = re.sub(r"\$\{([^}]+)\}", replace, value)
    return value


def hadoop_user() -> str:
    """Return the user that simple authentication names: HADOOP_USER_NAME, or this process's."""
    return os.environ.get("HADOOP_USER_NAME") or getpass.getuser()


def with_host(address: str, host: str, port: int) -> str:
    """Return host:port of an address; `host` and `port` replace a wildcard or an empty value."""
    given, _, number = address.rpartition(":")
    return f"{host if given in ('', '0.0.0.0') else given}:{number or port}"
