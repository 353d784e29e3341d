"""Where things come from and go to: the environment first, then `.env`, then these defaults.

Read when a flow runs, never at import, so that a deployment's or a test's environment counts.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nyc_taxi.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds `flows/`."""
_SECRET = re.compile("URL|KEY|CREDENTIALS")
"""In the name of a setting whose value may hold a password."""


def from_root(path: str | Path) -> Path:
    """Relative paths start at ROOT, wherever a script was started.

    A run that fetched its code has it in a folder that goes away: its worker says NYC_TAXI_ROOT.
    """
    return Path(os.environ.get("NYC_TAXI_ROOT") or ROOT) / Path(path).expanduser()


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="NYC_TAXI_", env_ignore_empty=True, extra="ignore")

    source_url: str = "https://d37ci6vzurychx.cloudfront.net/trip-data"
    """A folder (URL or path) of months, or a template with {color}, {year} and {month:02}."""
    lake: str = "local:data/lake"
    warehouse: str = "duckdb:data/warehouse.duckdb"
    data_dir: Annotated[Path, AfterValidator(from_root)] = Path("data")
    """Downloads, and files on their way to a lake."""
    months_at_once: Annotated[int, Field(ge=1)] = 2
    timeout: Annotated[float, Field(gt=0)] = 30
    """Seconds without a byte from the network before a try is given up."""
    wait: Annotated[float, Field(ge=0)] = 300
    """Seconds to wait for a file or a warehouse that another run holds."""
    memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?[KMG]i?B$")] = "300MB"
    """What DuckDB may take while it conforms or loads one month; the rest goes to disk."""
    postgres_url: Annotated[SecretStr | None, Field(validation_alias="POSTGRES_URL")] = None
    """Of libpq or of SQLAlchemy; counts where there is no block for the database."""

    hash_key: SecretStr | None = None
    """What the hashes of sensitive fields are keyed with; another key makes other hashes."""

    gcp_credentials: SecretStr = SecretStr("")
    """A service account's key, as a path or as JSON; the machine's own credentials if empty."""
    gcp_project: str = ""
    """The project to work in, where it is not the one that the credentials name."""
    gcs_bucket: str = ""
    gcs_folder: str = ""
    """A folder of the bucket that all keys go under."""
    s3_bucket: str = ""
    s3_folder: str = ""
    """A folder of the bucket, prepended to every key."""
    s3_addressing: Literal["auto", "path", "virtual"] = "auto"
    """Where a request names the bucket: in the host name (virtual) or in the path. auto: in the
    path of an endpoint that is set, in the host name of Amazon."""
    bq_location: str = "US"
    """Where the dataset is made when it is not there yet; the bucket's location, or near it."""


def settings() -> Settings:
    path = from_root(".env")
    try:
        return Settings(_env_file=path)  # type: ignore[call-arg]
    except UnicodeDecodeError as problem:
        raise InvalidInputError(f"{path} is not text in UTF-8; save it as UTF-8") from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0]).upper()
        if not name.startswith("POSTGRES_"):
            name = f"NYC_TAXI_{name}"
        given = "" if _SECRET.search(name) else f"={first['input']!r}"
        raise InvalidInputError(
            f"{name}{given} cannot be used: {first['msg']}; see .env.example for what it means"
        ) from None
