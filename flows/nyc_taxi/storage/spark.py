"""The one SparkSession of a process.

Properties come from spark-submit or spark-defaults.conf, then from the settings, then from here.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from prefect.runtime import flow_run

from nyc_taxi.errors import InvalidInputError, NycTaxiError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.yarn import why_ended

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL_MASTER = "local[*]"
"""All cores of this machine: the master if neither SPARK_MASTER nor spark.master is set."""
DEFAULTS = {
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.session.timeZone": "UTC",
    # A TIMESTAMP of the models has no zone, as in the other warehouses.
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
LOCAL_DEFAULTS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.log.level": "FATAL",  # errors are raised
}
"""Defaults of a local session: nothing listens on the network."""
_JAR_PROPERTIES = ("spark.jars", "spark.jars.packages", "spark.driver.extraClassPath")
_session: SparkSession | None = None
_application = ""
"""Id of its application, which outlives it."""
_starting = Lock()


@contextmanager
def spark_session() -> Iterator[SparkSession]:
    """Yield the session of this process, which the first block starts; it ends with the process.

    Raises InvalidInputError if Spark, Java or Iceberg is missing, or if the session's master is
    not SPARK_MASTER; StorageError if the session has ended.
    """
    global _session, _application
    with _starting:
        if _session is None:
            _session = _start()
            _application = _session.sparkContext.applicationId
    cause = None
    try:
        if is_running(_session):
            yield _session
            return
    except Exception as problem:
        if is_running(_session):
            raise
        cause = problem
    raise StorageError(f"the Spark application has ended: {_why_ended()}; rerun") from cause


def current_session() -> SparkSession | None:
    return _session


def is_running(session: SparkSession) -> bool:
    from py4j.protocol import Py4JError

    context = session.sparkContext._jsc
    try:
        return context is not None and not context.sc().isStopped()
    except (Py4JError, OSError):  # the JVM has ended
        return False


def _why_ended() -> str:
    """Return YARN's diagnostics, or where to find the reason."""
    if _application.startswith("application_"):
        try:
            return why_ended(_application)
        except NycTaxiError as problem:
            return f"{_application}: {problem}"
    return f"see the log of {_application or 'Spark'}"


def _start() -> SparkSession:
    _check_installed()
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    # spark-submit started this process, or pyspark will start it with these options.
    submitted = not {"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"}.isdisjoint(os.environ)
    given = _submitted_properties() if submitted else _spark_defaults()
    master = settings().spark_master or given.get("spark.master", LOCAL_MASTER)
    is_local = master.startswith("local")
    if not (submitted or is_local):
        raise InvalidInputError(
            f"SPARK_MASTER={master} is a cluster, and this process was not started by "
            f"spark-submit; run bash scripts/spark_submit.sh {_script()} -- OPTIONS"
        )
    if not submitted:
        given["spark.master"] = master
    _check_iceberg(given)
    if given.get("spark.app.name", ".py").endswith((".py", "pyspark-shell")):  # the default
        given["spark.app.name"] = _app_name()
    conf = DEFAULTS | (LOCAL_DEFAULTS if is_local else {}) | given
    try:
        session = SparkSession.builder.config(map=conf).getOrCreate()
    except PySparkRuntimeError as problem:
        raise InvalidInputError(
            "Spark did not start; it needs Java 17 or 21: set JAVA_HOME, see the lines above"
        ) from problem
    if session.sparkContext.master != master:
        raise InvalidInputError(
            f"the Spark session runs on {session.sparkContext.master}, not on "
            f"SPARK_MASTER={master}; set SPARK_MASTER to it, or run "
            f"bash scripts/spark_submit.sh {_script()}"
        )
    logging.getLogger("SQLQueryContextLogger").disabled = True  # logs what it also raises
    atexit.register(session.stop)
    return session


def _check_installed() -> None:
    if find_spec("pyspark") is None:
        raise InvalidInputError("Spark is not installed; run make spark")
    java_home = os.environ.get("JAVA_HOME")
    if not shutil.which("java", path=f"{java_home}/bin" if java_home else None):
        raise InvalidInputError(
            f"{f'JAVA_HOME={java_home} has no bin/java' if java_home else 'Java is not installed'};"
            " Spark needs Java 17 or 21, such as the package openjdk-17-jre-headless"
        )


def _check_iceberg(given: dict[str, Any]) -> None:
    import pyspark

    jars = Path(os.environ.get("SPARK_HOME") or pyspark.__path__[0]) / "jars"
    if not (any(map(given.get, _JAR_PROPERTIES)) or [*jars.glob("iceberg-spark-runtime-*.jar")]):
        raise InvalidInputError(f"{jars} has no Iceberg runtime; run make spark")


def _submitted_properties() -> dict[str, str]:
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()  # connects to the JVM that has them
    return dict(SparkConf().getAll())


def _spark_defaults() -> dict[str, str]:
    """Return the properties of spark-defaults.conf, which spark-submit would read."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (home and f"{home}/conf")
    path = Path(folder or "") / "spark-defaults.conf"
    if not (folder and path.is_file()):
        return {}
    return dict(re.findall(r"^\s*(spark\.[^\s=:]+)\s*[\s=:]\s*(.*?)\s*$", path.read_text(), re.M))


def _script() -> str:
    return sys.argv[0] if sys.argv[0].endswith(".py") else "FLOW"


def _app_name() -> str:
    """Return the name of the flow, or of the file before its flow starts."""
    path = Path(_script())
    return flow_run.flow_name or (path.parent.name if path.stem == "flow" else path.stem)
