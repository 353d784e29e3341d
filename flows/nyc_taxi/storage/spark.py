"""The one SparkSession of a process."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from prefect.runtime import flow_run

from nyc_taxi.cancellation import interruptible
from nyc_taxi.errors import InvalidInputError, NycTaxiError, StorageError
from nyc_taxi.settings import settings
from nyc_taxi.storage.spark_errors import translate_spark_errors
from nyc_taxi.storage.spark_properties import (
    LOG_LEVEL,
    REDEFINING,
    SEMANTICS,
    check_host_name,
    check_iceberg,
    check_installed,
    check_variables,
    session_properties,
    set_locale,
    spark_defaults,
    submitted_properties,
)
from nyc_taxi.storage.yarn import kill_tagged, why_ended

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL_MASTER = "local[*]"
"""All cores of this machine: the master if neither SPARK_MASTER nor spark.master is set."""
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
    check_installed()
    check_variables()
    set_locale()
    # spark-submit started this process, or pyspark will start it with these options.
    submitted = not {"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"}.isdisjoint(os.environ)
    check_host_name(submitted)
    with _translate_start():
        given = submitted_properties() if submitted else spark_defaults()
    master = settings().spark_master or given.get("spark.master", LOCAL_MASTER)
    is_local = master.startswith("local")
    if not (submitted or is_local):
        raise InvalidInputError(
            f"SPARK_MASTER={master} is a cluster, and this process was not started by "
            f"spark-submit; run bash scripts/spark_submit.sh {_script()} -- OPTIONS"
        )
    if not submitted:
        given["spark.master"] = master
    check_iceberg(given)
    if given.get("spark.app.name", ".py").endswith((".py", "pyspark-shell")):  # the default
        given["spark.app.name"] = _app_name()
    properties = session_properties(given, is_local)
    quiet = {} if LOG_LEVEL in given else {LOG_LEVEL: "OFF"}  # a failed start is raised
    with translate_spark_errors(f"Spark did not start on {master}"), _translate_start():
        session = _connect(properties | quiet)
    for name in given.keys() - SEMANTICS.keys():
        if name.startswith(REDEFINING) and session.conf.isModifiable(name):
            session.conf.unset(name)
    if session.sparkContext.master != master:
        raise InvalidInputError(
            f"the Spark session runs on {session.sparkContext.master}, not on "
            f"SPARK_MASTER={master}; set SPARK_MASTER to it, or run "
            f"bash scripts/spark_submit.sh {_script()}"
        )
    session.sparkContext.setLogLevel(properties[LOG_LEVEL])
    logging.getLogger("SQLQueryContextLogger").disabled = True  # logs what it also raises
    atexit.register(_stop, session)
    return session


def _stop(session: SparkSession) -> None:
    """End the application. A run that failed has said why, so Spark need not."""
    with suppress(Exception):
        session.sparkContext.setLogLevel("OFF")
        session.stop()


def _connect(properties: dict[str, str]) -> SparkSession:
    """Start the session, which waits until YARN has resources for it.

    A signal kills the application: it may wait in a queue, where it would outlive this process.
    """
    from pyspark.sql import SparkSession

    tag = f"nyc-taxi-{uuid4().hex}"
    tags = filter(None, (properties.get("spark.yarn.tags"), tag))
    builder = SparkSession.builder.config(map=properties | {"spark.yarn.tags": ",".join(tags)})
    is_yarn = properties.get("spark.master", "") == "yarn"
    return interruptible(builder.getOrCreate, lambda: kill_tagged(tag) if is_yarn else None)


@contextmanager
def _translate_start() -> Iterator[None]:
    from pyspark.errors import PySparkRuntimeError

    try:
        yield
    except PySparkRuntimeError as problem:
        raise InvalidInputError(
            "Spark did not start; it needs Java 17 or 21 (JAVA_HOME) and valid options: see the "
            "lines above"
        ) from problem


def _script() -> str:
    return sys.argv[0] if sys.argv[0].endswith(".py") else "FLOW"


def _app_name() -> str:
    """Return the name of the flow, or of the file before its flow starts."""
    path = Path(_script())
    return flow_run.flow_name or (path.parent.name if path.stem == "flow" else path.stem)
