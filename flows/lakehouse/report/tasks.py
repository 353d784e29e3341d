"""Tasks of the flow; nyc_taxi/report has the queries, the numbers and the page."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE

from nyc_taxi.orchestration.artifacts import log_artifact_errors
from nyc_taxi.orchestration.retries import RETRIES
from nyc_taxi.report import page
from nyc_taxi.report.payload import Payload, make_payload
from nyc_taxi.report.queries import read_gold, read_stale
from nyc_taxi.settings import settings
from nyc_taxi.transform.targets.registry import open_target

NAME = "report.html"


@task(cache_policy=NO_CACHE, persist_result=False, **RETRIES)
def read_numbers() -> Payload | None:
    """Read gold, once no build of this warehouse is running; None if it has no month."""
    page.check_extra()
    target = open_target(settings().warehouse)
    gold = read_gold(target)
    return make_payload(gold, read_stale(target)) if gold else None


@task(cache_policy=NO_CACHE)
def write_page(numbers: Payload | None) -> Path:
    """Replace the page in NYC_TAXI_DATA_DIR."""
    return page.write_page(numbers, settings().warehouse, settings().data_dir.resolve() / NAME)


def link_page(path: Path) -> None:
    """Link the page in the Prefect UI. Browsers open a link to a file only when it is copied."""
    with log_artifact_errors():
        create_link_artifact(
            path.as_uri(), link_text=NAME, key="report", description=f"What is in gold: `{path}`"
        )
