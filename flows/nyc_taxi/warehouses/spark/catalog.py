"""An Iceberg catalog of the Spark session: its properties, statements and retries."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from nyc_taxi.cancellation import check_stopped, interruptible, interruptible_sleep
from nyc_taxi.errors import InvalidInputError, LockTimeoutError
from nyc_taxi.settings import from_root, settings
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.storage.spark import spark_session
from nyc_taxi.storage.spark_errors import is_conflict, translate_spark_errors
from nyc_taxi.warehouses.base import DATASET

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")


class Catalog:
    """Catalog `name` of the session of this process, which is started here."""

    def __init__(self, name: str) -> None:
        if not (name.isidentifier() and name.islower()):
            raise InvalidInputError(
                f"NYC_TAXI_WAREHOUSE=spark:{name} is not a valid address; the name of a catalog "
                "has lower-case letters, digits and _, such as spark:nyc"
            )
        self.name = name
        with spark_session() as spark, translate_spark_errors(self):
            for key, value in catalog_properties(spark, name).items():
                spark.conf.set(key, value)
            warehouse = spark.conf.get(f"spark.sql.catalog.{name}.warehouse", "")
            kind = spark.conf.get(f"spark.sql.catalog.{name}.type", "")
        is_local = warehouse.startswith("file:")
        self.folder = Path("/" + warehouse.removeprefix("file:").lstrip("/")) if is_local else None
        """Folder of the tables, if it is on this machine."""
        self._commits = self.folder / "commit" if self.folder and kind == "hadoop" else None

    def __str__(self) -> str:
        return f"Spark catalog {self.name}"

    def table(self, name: str) -> str:
        return f"{self.name}.{DATASET}.{name}"

    def run(self, call: Callable[[SparkSession], T], place: object = None) -> T:
        """Call with the session; a signal or a stopped run cancels its jobs.

        Repeats a call that lost against another commit, or whose commit may have landed: each
        call replaces what an earlier one wrote. A Hadoop catalog on this machine commits by a
        rename that overwrites the commit of another process, so calls take turns there. Raises
        LockTimeoutError NYC_TAXI_WAIT seconds after the first conflict; StorageError with
        `place`, by default the catalog.
        """
        deadline = inf
        with spark_session() as spark, translate_spark_errors(place or self):
            while True:
                try:
                    with file_lock(self._commits) if self._commits else nullcontext():
                        return _cancellable(spark, call)
                except Exception as problem:
                    if not is_conflict(problem):
                        raise
                    if monotonic() > deadline:
                        raise LockTimeoutError(
                            f"{place or self}: other runs have committed before this one for "
                            f"{settings().wait:.0f} s; wait for them to finish, then rerun"
                        ) from problem
                    deadline = min(deadline, monotonic() + settings().wait)
                interruptible_sleep(random.uniform(0.1, 1))


def _cancellable(spark: SparkSession, call: Callable[[SparkSession], T]) -> T:
    group = uuid4().hex

    def grouped() -> T:
        spark.sparkContext.setJobGroup(group, "nyc_taxi")
        check_stopped()
        return call(spark)

    def cancel() -> None:
        spark.sparkContext._jsc.sc().cancelJobGroupAndFutureJobs(group)

    return interruptible(grouped, cancel)


def catalog_properties(spark: SparkSession, name: str) -> dict[str, str]:
    """Return the properties of the catalog that neither spark-submit nor spark-defaults.conf has.

    If they have the catalog itself, the settings are not used.
    """
    prefix = f"spark.sql.catalog.{name}"
    wanted = {f"{prefix}.cache-enabled": "false"}  # other processes change the tables
    if spark.conf.get(prefix, None) is None:
        wanted[prefix] = "org.apache.iceberg.spark.SparkCatalog"
        wanted |= {f"{prefix}.{key}": value for key, value in _from_settings().items()}
    return {key: value for key, value in wanted.items() if spark.conf.get(key, None) is None}


def _from_settings() -> dict[str, str]:
    """Return the catalog's type, warehouse and URI.

    Without CATALOG_URI, a folder of this machine has its catalog in an SQLite file: Iceberg's
    Hadoop catalog relies on a rename that fails if the target exists, which HDFS alone has.
    """
    config = settings()
    warehouse, uri = config.warehouse_uri, config.catalog_uri.get_secret_value()
    if uri.startswith("http"):
        given = {"type": "rest", "uri": uri} | ({"warehouse": warehouse} if warehouse else {})
        limit = str(int(config.timeout * 1000))
        return given | {
            f"rest.client.{what}-timeout-ms": limit for what in ("connection", "socket")
        }
    if ":/" not in warehouse:
        folder = from_root(warehouse or "data/iceberg")
        folder.mkdir(parents=True, exist_ok=True)
        warehouse = f"file://{folder}"  # as it is: Hadoop does not decode %20
        uri = uri or f"jdbc:sqlite:{folder / 'catalog.db'}"
    if not uri:
        return {"type": "hadoop", "warehouse": warehouse}
    given = {"type": "jdbc", "uri": uri, "warehouse": warehouse, "jdbc.schema-version": "V1"}
    if uri.startswith("jdbc:sqlite:"):
        given["jdbc.busy_timeout"] = str(int(config.wait * 1000))
    return given
