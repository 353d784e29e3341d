"""The dbt project: where it is stored, and the definition of the tables that it builds."""

import hashlib
from functools import cache
from pathlib import Path

from nyc_taxi.errors import InvalidInputError

NAME = "dbt"
DEFINING = ("models/**/*.sql", "macros/**/*.sql", "seeds/**/*.csv")
"""Files that decide what is in a table; descriptions and tests do not."""


@cache
def project_folder() -> Path:
    """Return the folder of the dbt project that belongs to this code.

    In a checkout and in the image it is next to `flows/`, in a bundle next to `nyc_taxi/`.
    """
    library = Path(__file__).resolve().parents[2]
    for parent in (library, library.parent):
        if (parent / NAME / "dbt_project.yml").is_file():
            return parent / NAME
    raise InvalidInputError(
        f"{library.parent / NAME} has no dbt_project.yml; run the flow in a checkout, or register "
        "it again: python scripts/prefect_build/build.py"
    )


def definition(folder: Path) -> str:
    """Return 16 hex digits of the SQL, rules and macros: equal definitions build equal tables.

    Line endings do not count, so that a checkout on Windows has the same definition.
    """
    digest = hashlib.sha256()
    for pattern in DEFINING:
        for path in sorted(folder.glob(pattern)):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_text("utf-8").encode() + b"\0")
    return digest.hexdigest()[:16]
