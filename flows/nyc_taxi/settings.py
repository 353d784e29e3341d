"""Settings: environment variables, then `.env.<name>` (NYC_TAXI_ENV), `.env`, the defaults below.

Read when a flow runs, not at import, so that the environment of a deployment or a test applies.
"""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nyc_taxi.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[2]
"""Project root: the folder that contains `flows/`."""
HttpUrl = Annotated[str, Field(pattern=r"^\s*https?://[^/?#\s]+")]
SIMILAR = 0.9
"""Similarity from which a name counts as misspelled, from 0 to 1."""
_SECRET = re.compile("UR[LI]|KEY|CREDENTIALS")
"""Matches the names of settings whose values may contain a secret."""


def from_root(path: str | Path) -> Path:
    """Resolve a relative path against NYC_TAXI_ROOT, or ROOT if it is not set.

    Workers set NYC_TAXI_ROOT for runs whose code is downloaded into a temporary folder.
    """
    return Path(os.environ.get("NYC_TAXI_ROOT") or ROOT) / Path(path).expanduser()


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="NYC_TAXI_", env_file_encoding="utf-8-sig", env_ignore_empty=True, extra="ignore"
    )

    source_url: str = "https://d37ci6vzurychx.cloudfront.net/trip-data"
    """Folder of the months (URL or path), or a template with {color}, {year} and {month:02}."""
    air_quality_url: HttpUrl = "https://air-quality-api.open-meteo.com/v1/air-quality"
    weather_url: HttpUrl = "https://archive-api.open-meteo.com/v1/archive"
    open_meteo_key: SecretStr | None = None
    """Key of a plan of Open-Meteo. None: free use, within its limits."""
    lake: str = "local:data/lake"
    warehouse: str = "duckdb:data/warehouse.duckdb"
    data_dir: Annotated[Path, AfterValidator(from_root)] = Path("data")
    """Downloads and conformed files."""
    months_at_once: Annotated[int, Field(ge=1)] = 2
    timeout: Annotated[float, Field(gt=0)] = 30
    """Seconds without data from the network before a request fails."""
    wait: Annotated[float, Field(ge=0)] = 300
    """Seconds to wait for a file or a warehouse that another run has locked."""
    memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?[KMG]i?B$")] = "300MB"
    """Memory limit of DuckDB per month; it spills to disk beyond that."""
    postgres_url: Annotated[SecretStr | None, Field(validation_alias="POSTGRES_URL")] = None
    """URL for libpq or SQLAlchemy, used if the block of the database does not exist."""

    spark_master: Annotated[str, Field(validation_alias="SPARK_MASTER")] = ""
    """Master of the Spark session. Empty: spark.master, or this machine."""
    warehouse_uri: Annotated[str, Field(validation_alias="WAREHOUSE_URI")] = ""
    """Folder of Spark's Iceberg tables: a path, or a URI such as hdfs://host:8020/warehouse. Empty:
    data/iceberg, or the default of a REST catalog."""
    catalog_uri: Annotated[SecretStr, Field(validation_alias="CATALOG_URI")] = SecretStr("")
    """Iceberg catalog: jdbc:..., or http(s)://... for REST. Empty: a file in the folder."""

    hash_key: SecretStr | None = None
    """Key of the hashes of sensitive fields. A different key gives different hashes."""

    gcp_credentials: SecretStr = SecretStr("")
    """Service account key: a path, JSON or Base64. Empty: application default credentials."""
    gcp_project: str = ""
    """Google Cloud project. Empty: the project of the credentials."""
    gcs_bucket: str = ""
    gcs_folder: str = ""
    """Prefix of all object names in the bucket."""
    s3_bucket: str = ""
    s3_folder: str = ""
    """Prefix of all keys in the bucket."""
    s3_addressing: Literal["auto", "path", "virtual"] = "auto"
    """Bucket addressing style. auto: path style for a custom endpoint, virtual-hosted style for
    Amazon S3."""
    webhdfs_url: str = ""
    """URL of WebHDFS or HttpFS; several are separated by commas. Empty: the one in hdfs-site.xml
    of HADOOP_CONF_DIR, else port 9870 of the lake's host."""
    bq_location: str = "US"
    """Location of a new BigQuery dataset; use the location of the bucket."""


def settings() -> Settings:
    path = from_root(".env")
    try:
        return Settings(_env_file=path)  # type: ignore[call-arg]
    except UnicodeDecodeError as problem:
        raise InvalidInputError(f"{path} is not valid UTF-8; save it as UTF-8") from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0])
        if name.islower():  # not an alias
            name = f"NYC_TAXI_{name.upper()}"
        given = "" if _SECRET.search(name) else f"={first['input']!r}"
        raise InvalidInputError(
            f"{name}{given} is invalid: {first['msg']}; see .env.example"
        ) from None


def check_names(path: Path, names: Iterable[str]) -> None:
    """Raise InvalidInputError for a misspelled setting of a file, which would have no effect."""
    known = [f"NYC_TAXI_{name.upper()}" for name in Settings.model_fields]
    for name in names:
        similar = get_close_matches(name.upper(), known, 1, SIMILAR)
        if similar and similar[0] != name.upper() and not name.startswith("NYC_TAXI_DBT_"):
            raise InvalidInputError(
                f"{path}: there is no setting {name}; did you mean {similar[0]}?"
            )
