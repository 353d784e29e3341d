"""Save the work pool `process-pool`, which runs flow runs as worker processes in this checkout.

Without a docker pool (blocks/make_docker_block.py), docker-flow also runs here.
"""

from nyc_taxi.cli import script

from nyc_taxi.orchestration.work_pools import save_pool, set_docker_flow_pool
from nyc_taxi.settings import ROOT

POOL = "process-pool"


def main() -> None:
    save_pool(POOL, "process", working_dir=str(ROOT), env={"NYC_TAXI_ROOT": str(ROOT)})
    set_docker_flow_pool(POOL, overwrite=False)
    print(f"work pool {POOL}: processes in {ROOT}")


if __name__ == "__main__":
    script(main)
