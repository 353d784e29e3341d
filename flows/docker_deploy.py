"""Deploy `etl-parent-flow/docker-flow` from Python, as the course does; prefect.yaml has it too.

Several flows share an image: each is one more `to_deployment` in the list.
"""

import os

from prefect import deploy

from nyc_taxi.settings import ROOT
from parameterized_flow import etl_parent_flow

if __name__ == "__main__":
    os.chdir(ROOT)  # the entrypoint is kept as the image has it: flows/parameterized_flow.py
    deploy(
        etl_parent_flow.to_deployment(  # type: ignore[arg-type]  # no coroutine in a script
            name="docker-flow",
            description="Months of trips from the web into the lake, in a container.",
            parameters={"months": [1, 2], "year": 2021, "color": "yellow"},
        ),
        work_pool_name="docker-pool",
        image=os.environ.get("NYC_TAXI_IMAGE", "nyc-taxi:latest"),
        build=False,
        push=False,
    )
