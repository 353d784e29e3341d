"""Create the deployments that run in the project's Docker image, in the work pool `docker-pool`.

Creates `etl-parent-flow/docker-flow` (also declared in prefect.yaml) and
`Ingest Data/docker-ingest`, which loads into the database of the block `postgres-connector`.
To deploy another flow, add a `to_deployment` to the list.
"""

import os

from nyc_taxi.cli import script

from prefect import deploy

from ingest_data_flow import ingest_data
from nyc_taxi.settings import ROOT
from parameterized_flow import etl_parent_flow

MONTHS = {"months": [1, 2], "year": 2021, "color": "yellow"}


def main() -> None:
    os.chdir(ROOT)  # entrypoints are stored relative to it, as in the image
    deploy(
        etl_parent_flow.to_deployment(  # type: ignore[arg-type]  # synchronous when called from a script
            name="docker-flow",
            description="Ingest months of trips into the lake, in a container.",
            parameters=MONTHS,
        ),
        ingest_data.to_deployment(  # type: ignore[arg-type]
            name="docker-ingest",
            description="Ingest months of trips into a PostgreSQL table, in a container.",
            parameters={"table_name": "yellow_taxi_trips", **MONTHS},
        ),
        work_pool_name="docker-pool",
        image=os.environ.get("NYC_TAXI_IMAGE", "nyc-taxi:latest"),
        build=False,
        push=False,
    )


if __name__ == "__main__":
    script(main)
