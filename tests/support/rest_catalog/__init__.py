"""Iceberg's REST catalog, served on this machine by a release older than the client's."""

from __future__ import annotations

from pathlib import Path

from local_services.java import download_jars, java_command
from local_services.process import Service, free_port
from local_services.spark import spark_home
from tests.support.processes import ROOT

HERE = Path(__file__).parent


def rest_catalog(folder: Path) -> Service:
    """Return the server; its tables are in `folder`."""
    jars = download_jars(HERE / "pom.xml", ROOT / "data" / "spark" / "rest-catalog")
    port = free_port()
    jars_of_spark = spark_home() / "jars"
    hadoop = [*jars_of_spark.glob("hadoop-client-*.jar"), *jars_of_spark.glob("commons-logging*")]
    command = java_command(
        "org.apache.iceberg.rest.RESTCatalogServer",
        classpath=":".join([f"{jars}/*", *map(str, hadoop)]),
        megabytes=256,
        properties={},
    )
    env = {
        "CATALOG_REST_PORT": str(port),
        "CATALOG_URI": f"jdbc:sqlite:{folder / 'rest.db'}",
        "CATALOG_WAREHOUSE": f"file://{folder / 'rest'}",
    }
    return Service("rest-catalog", folder, command, port, "/v1/config", env=env)
