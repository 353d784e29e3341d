"""Deploy flows with the one image to the work pool `docker-pool`, from Python, as the course does.

`etl-parent-flow/docker-flow` (prefect.yaml has it too) and `Ingest Data/docker-ingest`, into the
PostgreSQL of the block `postgres-connector`. Each is a `to_deployment` in the list.
"""

import os

from nyc_taxi.cli import script

from prefect import deploy

from ingest_data_flow import ingest_data
from nyc_taxi.settings import ROOT
from parameterized_flow import etl_parent_flow

MONTHS = {"months": [1, 2], "year": 2021, "color": "yellow"}


def main() -> None:
    os.chdir(ROOT)  # the entrypoints are kept as the image has them: flows/parameterized_flow.py
    deploy(
        etl_parent_flow.to_deployment(  # type: ignore[arg-type]  # no coroutine in a script
            name="docker-flow",
            description="Months of trips from the web into the lake, in a container.",
            parameters=MONTHS,
        ),
        ingest_data.to_deployment(  # type: ignore[arg-type]
            name="docker-ingest",
            description="Months of trips from the web into a table of PostgreSQL, in a container.",
            parameters={"table_name": "yellow_taxi_trips", **MONTHS},
        ),
        work_pool_name="docker-pool",
        image=os.environ.get("NYC_TAXI_IMAGE", "nyc-taxi:latest"),
        build=False,
        push=False,
    )


if __name__ == "__main__":
    script(main)
