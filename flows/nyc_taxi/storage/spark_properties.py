"""Properties of the Spark session: those of spark-submit or spark-defaults.conf, and ours."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from nyc_taxi.errors import InvalidInputError

ICEBERG = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
LOG_LEVEL = "spark.log.level"
DEFAULTS = {
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.showConsoleProgress": "false",
    LOG_LEVEL: "ERROR",
}
LOCAL_DEFAULTS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
    LOG_LEVEL: "FATAL",  # errors are raised
}
"""Defaults of a local session: nothing listens on the network."""
SEMANTICS = {
    "spark.sql.session.timeZone": "UTC",
    # A TIMESTAMP of the models has no zone, as in the other warehouses.
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
}
"""What a row of silver and gold depends on, whatever spark-defaults.conf says."""
MODE = {
    "spark.submit.deployMode": "client",
    "spark.api.mode": "classic",  # not Spark Connect
    "spark.kryo.registrationRequired": "false",
}
"""How these flows use Spark, whatever spark-defaults.conf says."""
REDEFINING = tuple(
    f"spark.sql.{name}"
    for name in (
        "ansi.", "cteRecursion", "groupBy", "lateralColumnAlias.", "legacy.", "mapKeyDedupPolicy",
        "orderByOrdinal", "parser.", "variable.", "crossJoin.",  # the meaning of a statement
        "files.ignore", "parquet.", "sources.default", "sources.partitionOverwriteMode",  # files
    )
)  # fmt: skip
"""Prefixes of properties that make Spark read statements or files in another way: unset."""
_LINE = re.compile(r"^[ \t]*(spark\.[^\s=:]+)[ \t]*[=: \t]?[ \t]*(.*?)[ \t\r]*$", re.M)
"""Name and value, which may be empty, of a line of spark-defaults.conf."""
_JARS = ("spark.jars", "spark.jars.packages", "spark.driver.extraClassPath")


def session_properties(given: Mapping[str, str], is_local: bool) -> dict[str, str]:
    """Return the properties to start a session with, given the properties of the user."""
    extensions = [each.strip() for each in given.get("spark.sql.extensions", "").split(",")]
    together = ",".join(dict.fromkeys([*filter(None, extensions), ICEBERG]))
    own = {**SEMANTICS, **MODE, "spark.sql.extensions": together}
    return DEFAULTS | (LOCAL_DEFAULTS if is_local else {}) | dict(given) | own


def submitted_properties() -> dict[str, str]:
    """Return the properties of the JVM that spark-submit started, or starts here."""
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()
    return dict(SparkConf().getAll())


def spark_defaults() -> dict[str, str]:
    """Return the properties of spark-defaults.conf, which spark-submit would read."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (home and f"{home}/conf")
    path = Path(folder or "") / "spark-defaults.conf"
    if not (folder and path.is_file()):
        return {}
    return dict(_LINE.findall(path.read_text()))


def check_installed() -> None:
    """Raise InvalidInputError without Spark or Java, or if SPARK_HOME is another Spark."""
    if find_spec("pyspark") is None:
        raise InvalidInputError("Spark is not installed; run make spark")
    java_home = os.environ.get("JAVA_HOME")
    if not shutil.which("java", path=f"{java_home}/bin" if java_home else None):
        raise InvalidInputError(
            f"{f'JAVA_HOME={java_home} has no bin/java' if java_home else 'Java is not installed'};"
            " Spark needs Java 17 or 21, such as the package openjdk-17-jre-headless"
        )
    version, jars = _version(), _jars_folder()
    if not [*jars.glob(f"spark-core_*-{version}.*.jar")]:
        raise InvalidInputError(
            f"SPARK_HOME={jars.parent} is not Spark {version}, the version of pyspark in "
            "this environment; unset SPARK_HOME"
        )


def check_variables() -> None:
    """Raise InvalidInputError for variables that start Spark in a way these flows cannot use."""
    if remote := os.environ.get("SPARK_REMOTE"):
        raise InvalidInputError(
            f"SPARK_REMOTE={remote} selects Spark Connect, which these flows do not use; "
            "unset SPARK_REMOTE"
        )
    options = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    if not options.rstrip(" \"'").endswith("pyspark-shell"):
        raise InvalidInputError(
            f"PYSPARK_SUBMIT_ARGS={options!r} does not end with pyspark-shell, so Spark cannot "
            "start; unset PYSPARK_SUBMIT_ARGS, or add it"
        )


def set_locale() -> None:
    """Let the driver's JVM read paths as UTF-8, as Python does, where LC_ALL is C or POSIX."""
    if os.environ.get("LC_ALL") in ("C", "POSIX"):
        os.environ["LC_ALL"] = "C.UTF-8"


def check_host_name(submitted: bool) -> None:
    """Raise InvalidInputError if the driver's JVM would not find the address of this machine.

    A local session listens on 127.0.0.1, whatever the machine is called.
    """
    if not submitted:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    if not {"SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME"}.isdisjoint(os.environ):
        return
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError as problem:
        raise InvalidInputError(
            f"the name of this machine, {name}, has no address; add it to /etc/hosts, or set "
            "SPARK_LOCAL_IP to the address that the cluster reaches"
        ) from problem


def check_iceberg(given: Mapping[str, str]) -> None:
    jars = _jars_folder()
    if not (any(map(given.get, _JARS)) or [*jars.glob("iceberg-spark-runtime-*.jar")]):
        raise InvalidInputError(f"{jars} has no Iceberg runtime; run make spark")


def _jars_folder() -> Path:
    import pyspark

    return Path(os.environ.get("SPARK_HOME") or pyspark.__path__[0]) / "jars"


def _version() -> str:
    """Return the minor version of pyspark, such as 4.1."""
    import pyspark

    return ".".join(pyspark.__version__.split(".")[:2])
