"""The Spark application of a flow run, with links to its pages."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from nyc_taxi.orchestration.artifacts import log_artifact_errors
from nyc_taxi.storage.spark import current_session
from nyc_taxi.storage.yarn import application_url

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEY = "spark-application"


def publish_application() -> None:
    """Log the application of this process, once, and save its id and links as an artifact."""
    if session := current_session():
        _publish(session.sparkContext.applicationId)


@cache
def _publish(application: str) -> None:
    session = current_session()
    assert session
    links = _links(session, application)
    lines = [f"{name}: {url}" for name, url in links.items()]
    get_run_logger().info(
        "Spark application %s on %s; %s", application, session.sparkContext.master, ", ".join(lines)
    )
    rows = [f"| {name} | [{url}]({url}) |" for name, url in links.items()]
    table = "\n".join([f"# {application}", "", "| page | link |", "|---|---|", *rows])
    with log_artifact_errors():
        create_markdown_artifact(table, key=KEY, description=f"Spark application {application}")


def _links(session: SparkSession, application: str) -> dict[str, str]:
    """Its pages: on YARN, of Spark while it runs, and in the History Server after that."""
    context, found = session.sparkContext, {}
    if context.master == "yarn":
        found["YARN"] = application_url(application)
    if context.uiWebUrl:
        found["Spark"] = context.uiWebUrl
    if history := context.getConf().get("spark.yarn.historyServer.address"):
        found["history"] = f"http://{history.removeprefix('http://')}/history/{application}"
    return found
